"""The columns that a task reads, and the conversion of their cells to rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.labels import LabelForm, feature_of
from nlp_transfer.data.readers import BadRow, Record, Table
from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, WrongKind, is_unicode, plain, plain_list
from nlp_transfer.data.readers.columns import LABEL, TAGS, TEXT, TEXT_PAIR, WORDS, Column, choose_columns


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
    """The task, and the table, which can still be read completely: its first rows show whether labels are lists."""
    texts = [(TEXT, text)]
    if pair:
        texts.append((TEXT_PAIR, pair))
    marked = LABEL._replace(flag="--label_columns")
    labels = [(marked, name) for name in form.columns] if form.columns else [(LABEL, label)]
    wanted, given = (tuple(part) for part in zip(*texts, *labels, strict=True))
    table, some = (
        _with_first(table, choose_columns(source, table.columns, wanted, given)) if table.columns else (table, [])
    )
    problem = form.problem_with(some)
    read = form.reading(problem)

    def convert(*cells: Cell) -> tuple[Any, ...] | str:
        values = [plain(cell) for cell in cells[: len(texts)]]
        label, fault = read(cells[len(texts) :])
        names = ("text", "second text")
        missing = [f"no {name}" for name, value in zip(names, values, strict=False) if not value.strip()]
        if missing or fault:
            return " and ".join([*missing, fault] if fault else missing)
        return (*values, label) if is_unicode("".join(values) + str(label)) else HALF_CHARACTER

    features = {column.role: datasets.Value("string") for column, _ in texts} | {"label": feature_of(problem)}
    return table, Task(wanted, given, convert, features)


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
