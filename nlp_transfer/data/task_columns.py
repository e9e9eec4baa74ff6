"""The columns that a task reads, and the conversion of their cells to rows."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.label_cells import listed_cells
from nlp_transfer.data.labels import LabelForm, feature_of
from nlp_transfer.data.readers import BadRow, Record, Table
from nlp_transfer.data.readers.annotated_labels import labelled
from nlp_transfer.data.readers.answers import without_rejected
from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, WrongKind, is_unicode, plain, plain_list
from nlp_transfer.data.readers.columns import (
    LABEL,
    TAGS,
    TEXT,
    TEXT_PAIR,
    WORDS,
    Column,
    choose_columns,
    no_such_column,
)
from nlp_transfer.data.readers.span_layouts import SPANS
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
    if table.columns:
        table = without_rejected(table) if form.columns else labelled(table, source, label)
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
    read = form.reading(problem)

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


_MISSING = ("", "-1", "-1.0", "?", "na", "n/a", "nan", "none", "null", "[]")


def has_labels(
    table: Table, source: str, labels: Sequence[str], known: Container[str], texts: Sequence[str | None]
) -> bool:
    """Whether the columns `labels` hold one label that is not missing; the table is read up to it.

    Missing is what is empty, and -1, ?, NaN and the like, unless it is among the labels `known` of training rows.
    DataError where none of these columns is there, but another, that no text stands in, is called nearly so.
    """
    there = {bare(name): name for name in table.columns}
    names = [there[name] for name in map(bare, labels) if name in there]
    if not names and table.columns_are_all:
        others = [name for name in table.columns if name not in texts]
        near = difflib.get_close_matches(labels[0].lower(), [name.lower() for name in others], n=1, cutoff=0.75)
        if near or any(bare(name).lower() in LABEL.known for name in others):
            raise DataError(
                f"{no_such_column(source, table.columns, labels[0], LABEL.flag)} The training rows have it."
            )
        return False
    names = names or list(labels)
    for record in table.records(names):
        if isinstance(record, Record):
            for value in (record.values.get(name) for name in names):
                text = "" if value is None or value != value else str(value).strip()
                if text in known or text.lower() not in _MISSING:
                    return True
    return False


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


def words_alone(words: str | None) -> Task:
    """The task of words that have no tags."""

    def convert(cell: Cell) -> tuple[list[str]] | str:
        found = plain_list(cell)
        if not found or not all(found):
            return "no words, or an empty one"
        return (found,) if is_unicode("".join(found)) else HALF_CHARACTER

    return Task((WORDS,), (words,), convert, {"words": datasets.List(datasets.Value("string"))})


def has_tags(table: Table, tags: str | None) -> bool:
    """Whether a column of tags, or of spans, is there and holds one that is not missing; the table is read up to it."""
    usual = (*TAGS.known, *SPANS)
    names = [name for name in table.columns if (name == tags if tags else bare(name).lower() in usual)]
    if not names and table.columns_are_all:
        return False
    names = names or ([tags] if tags else list(usual))
    for record in table.records([name for name in names if name in table.columns]):
        for value in (record.values.get(name) for name in names) if isinstance(record, Record) else ():
            items = value if isinstance(value, list) else [value]
            if any(item is not None and str(item).strip().lower() not in _MISSING for item in items):
                return True
    return False


def _words_and_tags(words_cell: Cell, tags_cell: Cell) -> tuple[list[str], list[str]] | str:
    words, tags = plain_list(words_cell), plain_list(tags_cell)
    if len(words) != len(tags):
        return f"{len(words)} words and {len(tags)} tags"
    if not words:
        return "no words"
    if not all(map(str.strip, tags)):
        return "a word that has no tag"
    if not all(words):
        return "a tag that has no word"
    return (words, tags) if is_unicode("".join(words + tags)) else HALF_CHARACTER
