"""Sentences of tables that have a word in each row."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.readers.list_cells import list_in
from nlp_transfer.data.readers.records import BadRow, Record
from nlp_transfer.errors import DataError

WORD = ("word", "words", "token", "tokens", "form")
TAG = (
    "nertag", "nertags", "ner", "nerlabel", "nerlabels", "entitytag", "iobtag", "biotag", "iob", "bio", "tag", "tags",
    "label", "labels", "entity",
)  # fmt: skip
"""Usual names of the columns of a word and its tag, as `plain_name` has them, the most likely first."""

_PARTS = "sentence sentences sent s doc document article text paragraph para line"
_NUMBERS = ("", "id", "ids", "no", "nr", "num", "number", "idx", "index")
_COUNTERS = {f"{part}{number}" for part in ("word", "token", "tok") for number in _NUMBERS[1:]}
_IDS = {f"{part}{number}" for part in _PARTS.split() for number in _NUMBERS} - {"s", "text"} | {"id", *_COUNTERS}
_LONG = 300  # words; few sentences have as many


def plain_name(name: str) -> str:
    """A column's name in lower case, letters and digits alone: "Sentence #" is "sentence"."""
    return re.sub(r"[\W_]+", "", name.lower())


def numbers_words(name: str) -> bool:
    """Whether a column of that name is one of a table of words and of no other."""
    return plain_name(name) in _COUNTERS or plain_name(name).startswith("sent")


def is_id(name: str) -> bool:
    """Whether a column of that name may tell the sentences of a table of words apart."""
    return plain_name(name) in _IDS


def are_words(rows: Sequence[Mapping[str, Any]], word: str, tag: str | None, *, is_sure: bool = False) -> bool:
    """Whether rows have a word each, and a tag where there is such a column.

    Nine in ten of the words hold no blank, none spells a list, and not all are numbers, as counts of words would be;
    unless it `is_sure` that these are words.
    """
    names = [word] if tag is None else [word, tag]
    if not rows or not all(isinstance(row.get(n), str | int | float | None) for row in rows for n in names):
        return False
    there = [text for text in (_text(row.get(word)) for row in rows) if text]
    if not there or is_sure:
        return bool(there)
    are_single = sum(len(text.split()) == 1 for text in there) >= 0.9 * len(there)
    return are_single and not any(map(list_in, there)) and not all(map(_is_number, there))


class Borders(NamedTuple):
    """By which columns sentences are told apart, beside blank rows and blank lines.

    `filled` ones have a value in the first row of a sentence alone, others the same `value` in all of its rows, or the
    number of the word, which `counts` anew.
    """

    filled: tuple[str, ...] = ()
    value: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All these columns."""
        return (*self.filled, *self.value, *self.counts)

    @property
    def how(self) -> str:
        """Where a sentence begins, in words."""
        parts = [f"'{name}' is filled in" for name in self.filled]
        parts += [f"'{name}' changes" for name in self.value]
        parts += [f"'{name}' counts anew" for name in self.counts]
        return f"where {' or '.join(parts)}" if parts else "after a blank line"


def borders_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Borders:
    """The borders that columns show in the first rows: those of `names` that number sentences, or look as if they did.

    Columns that number all rows show none.
    """
    filled, value, counts = [], [], []
    for name in names:
        cells = [_border(row.get(name)) for row in rows]
        there = [cell for cell in cells if cell]
        repeats = len(set(there)) < len(there)
        if not there:
            continue
        fills_few = is_id(name) and (2 * len(there) < len(cells) or not repeats)
        if len(there) < len(cells) and (fills_few or _count_sentences(cells)):
            filled.append(name)
        elif not plain_name(name).startswith("sent") and _counts_words(name, cells):
            counts.append(name)
        elif repeats and plain_name(name) not in _COUNTERS and (is_id(name) or _number_sentences(cells)):
            value.append(name)
    return Borders(tuple(filled), tuple(value), tuple(counts))


def _count_sentences(cells: Sequence[str]) -> bool:
    """Whether the cells that are filled, the first one among them, count: "Sentence: 1", "Sentence: 2"."""
    ends = [re.search(r"\d{1,18}$", cell) for cell in cells if cell]
    numbers = [int(end[0]) for end in ends if end]
    return bool(cells[0]) and len(numbers) == len(ends) > 1 and {b - a for a, b in itertools.pairwise(numbers)} == {1}


def _number_sentences(cells: Sequence[str]) -> bool:
    """Whether cells have a number that stays or grows by one."""
    numbers = [_number(cell) for cell in cells]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    return -1 not in numbers and set(steps) == {0, 1}


def _counts_words(name: str, cells: Sequence[str]) -> bool:
    """Whether a column numbers the words of each sentence: it counts from 0 or 1, and again and again from there."""
    if not all(re.fullmatch(r"\d{1,18}", cell) for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    pairs = list(itertools.pairwise(numbers))
    if plain_name(name) in _COUNTERS:
        return any(after <= before for before, after in pairs)
    falls = [after for before, after in pairs if after != before + 1]
    if not is_id(name) and max(numbers) < 2:  # what is 0 and 1 in turn may be of any kind
        return False
    return numbers[0] in (0, 1) and bool(falls) and all(a == numbers[0] != b for b, a in pairs if a != b + 1)


@dataclass
class Sentences:
    """The sentences of a table with a word in each row, and what is known of them when all have been read."""

    source: str
    unit: str
    word: str
    tag: str | None
    borders: Borders

    def __post_init__(self) -> None:
        self._count = self._words = 0
        self._again: list[int] = []  # where sentences begin whose value was met before
        self._met: set[int] = set()

    def read(self, records: Iterator[Record | BadRow]) -> Iterator[Record | BadRow]:
        """A record for each sentence, with lists in place of cells.

        Where a row in it cannot be used, a sentence is a bad row; where such a row stands between two of which either
        may have lost a word, both are.
        """
        rows: list[Record] = []
        broken: BadRow | None = None  # a row of the sentence at hand
        was_broken = False  # the row before
        due = 0  # the line after the row before
        for record in records:
            if isinstance(record, BadRow):
                broken, was_broken, due = broken or record, True, 0
                continue
            is_blank = not any(map(_text, record.values.values()))
            if is_blank or self._starts(rows, record, due):
                if rows or broken:
                    yield self._made(rows, broken)
                # The broken row may have been the last of that sentence, or the first of this one.
                broken = broken if was_broken and not is_blank and not self._is_first(record) else None
                rows = []
            if not is_blank:
                rows.append(record)
            was_broken = False
            due = record.line + _lines(record) if self.unit == "line" and record.file is None else 0
        if rows or broken:
            yield self._made(rows, broken)

    def remarks(self) -> Iterator[str]:
        """Sentences that were met again, and a single one that is very long."""
        if self._again:
            names = " and ".join(f"'{name}'" for name in (*self.borders.filled, *self.borders.value))
            count = len(self._again)
            if 2 * count > self._count:
                raise DataError(
                    f"{self.source}: rows of a sentence do not stand together: {count:,} of {self._count:,} runs of "
                    f"rows have a value in {names} that was there before; sort the rows by sentence and place."
                )
            have = "sentences have" if count > 1 else "sentence has"
            yield (
                f"{self.source}: {count:,} {have} a value in {names} that an earlier one has "
                f"({some_numbers(self._again, self.unit)}); each run of rows is read as a sentence of its own."
            )
        if self._count == 1 and self._words > _LONG:
            yield (
                f"{self.source}: no blank line in {self._words:,} rows, and no column that tells sentences apart: one "
                "sentence? A blank line after each sentence, or a column sentence_id, would part them."
            )

    def _starts(self, rows: list[Record], record: Record, due: int) -> bool:
        if not rows:
            return self._is_first(record)
        if 0 < due < record.line:  # blank lines are between
            return True
        first, last = rows[0].values, rows[-1].values
        here = {name: _border(record.values.get(name)) for name in self.borders.names}
        return (
            any(here[name] for name in self.borders.filled)
            or any(here[name] not in ("", _text(first.get(name))) for name in self.borders.value)
            or any(-1 < _number(here[name]) <= _number(_text(last.get(name))) for name in self.borders.counts)
        )

    def _is_first(self, record: Record) -> bool:
        """Whether a row says itself that it is the first of a sentence."""
        if self.borders.filled:
            return any(_border(record.values.get(name)) for name in self.borders.filled)
        numbers = [_number(_text(record.values.get(name))) for name in self.borders.counts]
        return bool(numbers) and all(number in (0, 1) for number in numbers)

    def _made(self, rows: list[Record], broken: BadRow | None) -> Record | BadRow:
        if not rows:
            assert broken is not None
            return broken
        first = rows[0]
        self._count += 1
        self._words += len(rows)
        self._meet(first)
        if broken:
            return broken._replace(line=first.line)
        for row in rows:
            at = row.file or row.line
            if row.values.get(self.word) in (None, ""):
                return BadRow(first.line, "a tag that has no word", at)
            if self.tag is not None and not _text(row.values.get(self.tag)):
                return BadRow(first.line, "a word that has no tag", at)
            if "\n" in str(row.values[self.word]) or "\r" in str(row.values[self.word]):
                return BadRow(first.line, "a word of several lines, of which quotes may have made one", at)
            for name in (*self.borders.value, *self.borders.counts):
                if not _text(row.values.get(name)):
                    return BadRow(first.line, f"a word that has nothing in column '{name}'", at)
        values = {
            name: first.values.get(name) if name in self.borders.names else [row.values.get(name) for row in rows]
            for name in first.values
        }
        return Record(first.line, values, first.file)

    def _meet(self, first: Record) -> None:
        names = (*self.borders.filled, *self.borders.value)
        if not names:
            return
        key = hash(tuple(_text(first.values.get(name)) for name in names))
        if key in self._met:
            self._again.append(first.line)
        self._met.add(key)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    whole = isinstance(cell, float) and cell.is_integer()  # as a data frame with gaps has them
    return str(int(cell) if whole else cell).strip()


_GAPS = ("NA", "NaN", "nan", "NULL", "null", "None", "none", "N/A", "-", "\\N")


def _border(cell: Any) -> str:
    """A cell of a column that tells sentences apart, empty where R, pandas or a database wrote that it is."""
    text = _text(cell)
    return "" if text in _GAPS else text


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,18}", text))


def _number(text: str) -> int:
    return int(text) if _is_number(text) else -1


def _lines(record: Record) -> int:
    """How many lines of the file a record takes."""
    cells = (cell for cell in record.values.values() if isinstance(cell, str))
    return 1 + sum(len(re.findall(r"\r\n|\r|\n", cell)) for cell in cells)
