"""The choice of the columns that a task needs."""

from __future__ import annotations

import difflib
from collections.abc import Container, Sequence
from typing import NamedTuple

from nlp_transfer.errors import DataError


class Column(NamedTuple):
    """What a column is for, the flag that names it, and its usual names, best first."""

    role: str
    flag: str
    known: tuple[str, ...]


TEXT = Column(
    "text",
    "--text_column_name",
    ("text", "sentence", "content", "review", "tweet", "question", "utterance", "document"),
)
TEXT_PAIR = Column("text_pair", "--text_pair_column_name", ())
LABEL = Column(
    "label",
    "--label_column_name",
    ("label", "labels", "category", "class", "intent", "sentiment", "emotion", "target", "stars", "rating", "score"),
)
WORDS = Column("words", "--text_column_name", ("tokens", "words"))
TAGS = Column("tags", "--label_column_name", ("tags", "ner_tags", "labels"))


def choose_column(source: str, columns: Sequence[str], wanted: Column, given: str | None) -> str:
    """The name in `columns` of the one that is wanted: the one given, else a well-known one. Raises DataError."""
    if given is not None and given not in columns:
        raise DataError(_no_such_column(source, columns, given, wanted.flag))
    return given if given is not None else _known_column(source, columns, wanted, ())


def choose_columns(
    source: str, columns: Sequence[str], wanted: Sequence[Column], given: Sequence[str | None]
) -> tuple[str, ...]:
    """The names in `columns` of those that are wanted: those given, else well-known ones in upper or lower case."""
    taken: dict[str, str] = {}
    for column, name in zip(wanted, given, strict=True):
        if name is None:
            continue
        if name not in columns:
            raise DataError(_no_such_column(source, columns, name, column.flag))
        if name in taken:
            raise DataError(f"{source}: {taken[name]} and {column.flag} both name '{name}'; name two columns.")
        taken[name] = column.flag
    chosen = []
    for column, name in zip(wanted, given, strict=True):
        chosen.append(name if name is not None else _known_column(source, columns, column, taken))
        taken[chosen[-1]] = column.flag
    return tuple(chosen)


def _known_column(source: str, columns: Sequence[str], wanted: Column, taken: Container[str]) -> str:
    for known in wanted.known:
        matches = [name for name in columns if name.lower() == known and name not in taken]
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
        f"Name the right one with {wanted.flag}."
    )


def _no_such_column(source: str, columns: Sequence[str], name: str, flag: str) -> str:
    in_lower_case = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), in_lower_case, n=1)
    hint = f" (did you mean '{in_lower_case[near[0]]}'?)" if near else ""
    listed = ", ".join(columns)
    return f"{source} has no column '{name}'{hint}; its columns are: {listed}. Name the right one with {flag}."
