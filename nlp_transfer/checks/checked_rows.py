"""Rows as the checks use them: text, labels, and a key that copies of a text share."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nlp_transfer.checks.finding import Example, Place
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.number_notations import as_number, measured
from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits


@dataclass(frozen=True)
class Part:
    """A split as the checks use it. It holds a few numbers a row, for rows may be many."""

    name: str
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows.data)

    @property
    def is_tagged(self) -> bool:
        """Whether rows are words with tags."""
        return "tags" in self.rows.data.column_names

    def texts(self) -> Iterator[str]:
        """The text of each row: its words with blanks between them, and both texts of a pair."""
        return texts(self.rows)

    def labels(self) -> Iterator[tuple[str, ...]]:
        """The labels of each row: mostly one; of a sentence with tags, all of them in their order."""
        return (labels_of(value) for value in values(self.rows.data, "tags" if self.is_tagged else "label"))

    @cached_property
    def keys(self) -> np.ndarray:
        """A number for each row, `(rows,)`, the same where texts are but for case, white space and unicode form."""
        return np.fromiter((hash(plain(text)) for text in self.texts()), np.int64, len(self))

    @cached_property
    def label_keys(self) -> np.ndarray:
        """A number for each row, `(rows,)`, the same where labels are; several labels may stand in any order."""
        labels = self.labels() if self.is_tagged else (tuple(sorted(names)) for names in self.labels())
        return np.fromiter(map(hash, labels), np.int64, len(self))

    @cached_property
    def lines(self) -> np.ndarray:
        """Where each row begins in its file, `(rows,)`."""
        return np.fromiter(values(self.rows.data, "line"), np.int64, len(self))

    def place(self, index: int | np.integer) -> Place:
        """Where a row stands."""
        return Place(self.name, self.rows.source, self.rows.unit, int(self.lines[index]))

    def places(self, indices: Iterable[int | np.integer]) -> tuple[Place, ...]:
        """Where rows stand."""
        return tuple(self.place(index) for index in indices)

    def example(self, index: int | np.integer, note: str = "") -> Example:
        """A row to be shown."""
        return Example(self.place(index), self.text(index), note)

    def text(self, index: int | np.integer) -> str:
        """The text of one row."""
        row = self.rows.data[int(index)]
        return " ".join(row["words"]) if "words" in row else _joined(row["text"], row.get("text_pair"))

    def label(self, index: int | np.integer) -> str:
        """The labels of one row, in words."""
        row = self.rows.data[int(index)]
        return " ".join(labels_of(row["tags" if self.is_tagged else "label"]))

    @cached_property
    def has_scores(self) -> bool:
        """Whether labels are numbers on a scale and not names: read as numbers, or names that were clearly measured."""
        if self.is_tagged:
            return False
        problem = problem_of(self.rows.data)
        if problem != "single_label":
            return problem == "regression"
        labels = set(values(self.rows.data, "label"))
        return measured(labels, "label") is not None and all(as_number(label) is not None for label in labels)


def parts_of(splits: Splits) -> tuple[Part, ...]:
    """The splits that are present: train, validation, test."""
    named = (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
    return tuple(Part(name, rows) for name, rows in named if rows is not None)


def texts(rows: Rows) -> Iterator[str]:
    """The text of each row."""
    if "words" in rows.data.column_names:
        return (" ".join(words) for words in values(rows.data, "words"))
    names = [name for name in ("text", "text_pair") if name in rows.data.column_names]
    return (_joined(*parts) for parts in rows_of(rows.data, *names))


def labels_of(value: Any) -> tuple[str, ...]:
    """A label, a number, or a list of labels, as the names it holds."""
    if isinstance(value, list | tuple):
        return tuple(str(name) for name in value)
    return (str(value),)


def plain(text: str) -> str:
    """A text without what two copies of it may differ in: case, white space, unicode form.

    >>> plain("Straße  ﬁve") == plain("STRASSE five")
    True
    """
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold().split())


def _joined(text: str, pair: str | None = None) -> str:
    return text if pair is None else f"{text}\n{pair}"
