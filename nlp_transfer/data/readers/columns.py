"""The choice of the columns that a task needs."""

from __future__ import annotations

import difflib
from collections.abc import Container, Sequence
from typing import NamedTuple

from nlp_transfer.data.readers.records import Table
from nlp_transfer.errors import DataError
from nlp_transfer.system.invisible import bare


class Column(NamedTuple):
    """What a column is for, the flag that names it, and its usual names, best first."""

    role: str
    flag: str
    known: tuple[str, ...]
    instead: str = ""
    """What may be given in place of the flag."""


TEXT = Column(
    "text",
    "--text_column_name",
    ("text", "sentence", "content", "review", "tweet", "question", "utterance", "document", "data"),
)
TEXT_PAIR = Column("text_pair", "--text_pair_column_name", ())
LABEL = Column(
    "label",
    "--label_column_name",
    ("label", "labels", "category", "class", "intent", "sentiment", "emotion", "target", "stars", "rating", "score"),
    ", or several of 0 and 1, each a label, with --label_columns",
)
WORDS = Column("words", "--text_column_name", ("tokens", "words"))
TAGS = Column("tags", "--label_column_name", ("ner_tags", "ner", "tags", "ner_labels", "labels"))


def choose_column(source: str, table: Table, wanted: Column, given: str | None) -> str:
    """The name of the column that is wanted: the one given, else a well-known one. Raises DataError."""
    return choose_columns(source, table, [wanted], [given])[0]


def choose_columns(source: str, table: Table, wanted: Sequence[Column], given: Sequence[str | None]) -> tuple[str, ...]:
    """The names of the columns that are wanted: those given, else well-known ones in upper or lower case.

    Raises DataError. Invisible characters in the name of a column do not hide it.
    """
    columns, hint = table.columns, f" {table.about_columns}." if table.about_columns else ""
    taken: dict[str, str] = {}
    found: list[str | None] = []
    for column, name in zip(wanted, given, strict=True):
        there = None if name is None else _named(columns, name)
        found.append(there)
        if there is None and name is None:
            continue
        if there is None:
            raise DataError(no_such_column(source, columns, str(name), column.flag) + hint)
        if there in taken:
            raise DataError(f"{source}: {taken[there]} and {column.flag} both name '{name}'; name two columns.")
        taken[there] = column.flag
    chosen = []
    for column, there in zip(wanted, found, strict=True):
        chosen.append(there if there is not None else _known_column(source, columns, column, taken, hint))
        taken[chosen[-1]] = column.flag
    return tuple(chosen)


def _named(columns: Sequence[str], name: str) -> str | None:
    """The column of this name, or the only one of this name but for characters that nobody sees."""
    if name in columns:
        return name
    alike = [column for column in columns if bare(column) == bare(name)]
    return alike[0] if len(alike) == 1 else None


def _known_column(source: str, columns: Sequence[str], wanted: Column, taken: Container[str], hint: str) -> str:
    for known in wanted.known:
        matches = [name for name in columns if bare(name).lower() == known and name not in taken]
        if known in matches:
            return known
        if len(matches) == 1:
            return matches[0]
    separator = next((s for s in (";", "\t", "|") if len(columns) == 1 and s in columns[0]), None)
    if separator:
        raise DataError(
            f"{source} seems to separate its columns by {separator!r} (its first line is {columns[0]!r}); "
            "name it with --delimiter."
        )
    raise DataError(
        f"{source} has no column with a usual name for the {wanted.role}; its columns are: {', '.join(columns)}. "
        f"Name the right one with {wanted.flag}{wanted.instead}.{hint}"
    )


def no_such_column(source: str, columns: Sequence[str], name: str, flag: str) -> str:
    """The message of a column that is not there, which names the nearest and the flag."""
    in_lower_case = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), in_lower_case, n=1)
    hint = f" (did you mean '{in_lower_case[near[0]]}'?)" if near else ""
    listed = ", ".join(columns)
    return f"{source} has no column '{name}'{hint}; its columns are: {listed}. Name the right one with {flag}."
