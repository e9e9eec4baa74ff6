"""The columns that a task reads, and the conversion of their cells to rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.label_cells import listed_cells
from nlp_transfer.data.labels import LabelForm, feature_of
from nlp_transfer.data.readers import BadRow, Record, Table
from nlp_transfer.data.readers.annotated_labels import labelled
from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, WrongKind, is_unicode, plain, plain_list
from nlp_transfer.data.readers.columns import LABEL, TAGS, TEXT, TEXT_PAIR, WORDS, Column, choose_columns
from nlp_transfer.errors import DataError
from nlp_transfer.system.invisible import bare


class Task(NamedTuple):
    """Which columns are read, the names that were `given` for them, and what their cells are turned into."""

    wanted: tuple[Column, ...]
    given: tuple[str | None, ...]
    convert: Callable[..., tuple[Any, ...] | str]  # a str is the fault
    features: Mapping[str, Any]


def converted(record: Record, task: Task, chosen: Sequence[str]) -> tuple[Any, ...] | BadRow:
    """The row that a task makes of a record's cells in the columns that were `chosen`, with its line; or its fault."""
    cells = [Cell(record.values.get(name), name, column.flag) for name, column in zip(chosen, task.wanted, strict=True)]
    try:
        row = task.convert(*cells)
    except WrongKind as fault:
        row = str(fault)
    return BadRow(record.line, row, record.file or record.line) if isinstance(row, str) else (*row, record.line)


def classification(
    table: Table, source: str, text: str | None, pair: str | None, label: str | None, form: LabelForm
) -> tuple[Table, Task]:
    """The task, and the table, which can still be read completely: its first rows show whether labels are lists.

    Numbers are read as texts: how they are written, all of them show. DataError where the columns are not there.
    """
    table = labelled(table, source, label) if table.columns and not form.columns else table
    texts = [(TEXT, text)]
    if pair:
        texts.append((TEXT_PAIR, pair))
    by_mark = LABEL._replace(flag="--label_columns")
    labels = [(by_mark, name) for name in form.columns] if form.columns else [(LABEL, label)]
    wanted, given = (tuple(part) for part in zip(*texts, *labels, strict=True))
    table, some = _with_first(table, choose_columns(source, table, wanted, given)) if table.columns else (table, [])
    listed = listed_cells(some) if some and form.delimiter is None and not form.columns else None
    if listed:
        some = [listed.read(value) for value in some]
        table = replace(table, notes=(*table.notes, f"{source}: labels are read as lists, {listed.how}."))
    problem = form.problem_with(some)
    try:
        read = form.reading(problem, some)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None

    def convert(*cells: Cell) -> tuple[Any, ...] | str:
        values = [plain(cell) for cell in cells[: len(texts)]]
        marked = cells[len(texts) :]
        label, fault = read([c._replace(value=listed.read(c.value)) for c in marked] if listed else marked)
        names = ("text", "second text")
        missing = [f"no {name}" for name, value in zip(names, values, strict=False) if not value.strip()]
        if missing or fault:
            return " and ".join([*missing, fault] if fault else missing)
        return (*values, label) if is_unicode("".join(values) + str(label)) else HALF_CHARACTER

    features = {column.role: datasets.Value("string") for column, _ in texts} | {
        "label": feature_of("multi_label" if problem == "multi_label" else "single_label")
    }
    return table, Task(wanted, given, convert, features)


def texts_alone(text: str | None, pair: str | None) -> Task:
    """The task of texts, or pairs of them, that have no labels."""
    wanted = (TEXT, TEXT_PAIR) if pair else (TEXT,)

    def convert(*cells: Cell) -> tuple[str, ...] | str:
        values = tuple(map(plain, cells))
        if not all(value.strip() for value in values):
            return "no text"
        return values if is_unicode("".join(values)) else HALF_CHARACTER

    return Task(wanted, (text, pair)[: len(wanted)], convert, {c.role: datasets.Value("string") for c in wanted})


def has_labels(table: Table, columns: Sequence[str] | None) -> bool:
    """Whether a column of labels is there and holds one that is not missing: empty, or -1 as all the others are.

    `columns` are those named by the user, None for a usual name. Reads the table up to the first label.
    """
    names = [
        name for name in table.columns if (bare(name).lower() in LABEL.known if columns is None else name in columns)
    ]
    if not names:
        return False
    values = (r.values.get(n) for r in table.records(names) if isinstance(r, Record) for n in names)
    return any(value not in (None, "", -1, "-1", -1.0) and value == value for value in values)


def _with_first(table: Table, chosen: Sequence[str]) -> tuple[Table, list[Any]]:
    """The table, and the values that its first rows have in the last of the columns that are `chosen`."""
    records = table.records(chosen)
    head = list(itertools.islice(records, 100))
    some = [row.values.get(chosen[-1]) for row in head if isinstance(row, Record)]
    return replace(table, records=lambda wanted: itertools.chain(head, records)), some


def tagged(words: str | None, tags: str | None) -> Task:
    """The task of words with tags, in the columns of these names or the usual ones."""
    list_of_strings = datasets.List(datasets.Value("string"))
    return Task((WORDS, TAGS), (words, tags), _words_and_tags, {"words": list_of_strings, "tags": list_of_strings})


def _words_and_tags(words_cell: Cell, tags_cell: Cell) -> tuple[list[str], list[str]] | str:
    words, tags = plain_list(words_cell), [tag.strip() for tag in plain_list(tags_cell)]
    if len(words) != len(tags):
        return f"{len(words)} words and {len(tags)} tags"
    if not words:
        return "no words"
    if not all(tags):
        return "a word that has no tag"
    if not all(words):
        return "a tag that has no word"
    return (words, tags) if is_unicode("".join(words + tags)) else HALF_CHARACTER
