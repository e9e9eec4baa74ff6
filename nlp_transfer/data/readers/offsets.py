"""Offsets of annotation tools, converted to characters."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nlp_transfer.data.character_spans import CharSpan, Misaligned, Offsets


class Mark(NamedTuple):
    """A span as a tool has written it: the offsets may count otherwise than in characters, `surface` tells."""

    start: int
    end: int
    type: str
    surface: str | None
    parts: int


_Places = dict[int, int] | None
"""The character at which each offset of a tool stands; None where offsets are characters."""


class Counting(NamedTuple):
    """A way in which tools count: what offsets count, in words, and the places of the offsets in a text.

    `differs` says quickly whether a text may have other places so than in characters; `least` is how many rows must
    show this way before a file is read by it.
    """

    unit: str
    places: Callable[[str], _Places]
    differs: Callable[[str], bool]
    least: int


def resolved(
    text: str, marks: Sequence[Mark], counting: Counting | None = None
) -> tuple[list[CharSpan], list[Misaligned]] | str:
    """Spans in characters of `text`; those in several parts, which have no tags; or the fault.

    A tool may count in UTF-16 (as JavaScript does), in bytes, take a Windows line end for one character, or count a
    byte order mark; where it gives the text of its spans, the first way of counting by which all of them stand there is
    taken, to the last blank if there is such a way, and where it gives none, `counting`, or characters.
    """
    if counting and not _tell(marks):
        return _in_characters(text, marks, counting.places(text))
    ways = (_characters, *(way.places for way in COUNTINGS), _with_mark)
    for same, places in itertools.product((str.__eq__, _are_alike), ways):
        pairs = zip(marks, _spans(text, marks, places(text)), strict=True)
        if all(m.surface is None or m.parts > 1 or same(_there(text, span), m.surface) for m, span in pairs):
            return _in_characters(text, marks, places(text))
    return "a span whose text is not what stands there"


class Votes:
    """What the rows of a file whose spans have no texts show of how it counts offsets."""

    def __init__(self) -> None:
        self.shown: Counter[str] = Counter()  # rows whose spans all fall on words so, and not in characters
        self.denied: Counter[str] = Counter()  # the other way around

    def add(self, text: str, marks: Sequence[Mark], offsets: Offsets) -> None:
        """Let a row vote, whose words stand at `offsets`."""
        if not marks or _tell(marks) or any(mark.parts > 1 for mark in marks):
            return
        ways = [way for way in COUNTINGS if way.differs(text)]
        if not ways:
            return
        fits = _fit(text, marks, None, offsets)
        for way in ways:
            if fits != _fit(text, marks, way.places(text), offsets):
                (self.denied if fits else self.shown)[way.unit] += 1

    def counting(self) -> Counting | None:
        """The way of counting that the rows show, nine of ten that tell it apart from characters; None: characters."""
        ways = [
            way
            for way in COUNTINGS
            if self.shown[way.unit] >= way.least and self.shown[way.unit] >= 9 * self.denied[way.unit]
        ]
        return max(ways, key=lambda way: self.shown[way.unit], default=None)

    def hint(self) -> str:
        """A part of a sentence on the way of counting that some rows show, where they are too few to follow."""
        unit, count = max(self.shown.items(), key=lambda shown: shown[1], default=("", 0))
        return f" (those of {count:,} row{'s' * (count > 1)} would, if offsets count {unit})" if count else ""


def bare(text: str) -> str:
    """A text without white space: tools write a line end within a span as a blank, or as a backslash and an n."""
    return "".join(text.replace("\\n", " ").split())


def _tell(marks: Sequence[Mark]) -> bool:
    return any(mark.surface is not None for mark in marks)


def _in_characters(text: str, marks: Sequence[Mark], places: _Places) -> tuple[list[CharSpan], list[Misaligned]]:
    pairs = list(zip(marks, _spans(text, marks, places), strict=True))
    parted = [Misaligned(span, f"is in {mark.parts} parts", None) for mark, span in pairs if mark.parts > 1]
    return [span for mark, span in pairs if mark.parts == 1], parted


def _spans(text: str, marks: Sequence[Mark], places: _Places) -> list[CharSpan]:
    return [CharSpan(_place(places, m.start, text), _place(places, m.end, text), m.type) for m in marks]


def _fit(text: str, marks: Sequence[Mark], places: _Places, offsets: Offsets) -> bool:
    first, last = {start for start, _ in offsets}, {end for _, end in offsets}
    return all(s.start < s.end and s.start in first and s.end in last for s in _spans(text, marks, places))


def _there(text: str, span: CharSpan) -> str:
    return text[span.start : span.end] if 0 <= span.start <= span.end else ""


def _are_alike(there: str, surface: str) -> bool:
    return bare(there) == bare(surface)


def _characters(text: str) -> _Places:
    return None


def _utf16(text: str) -> _Places:
    return _indexed([1 + (ord(c) > 0xFFFF) for c in text])


def _short_line_ends(text: str) -> _Places:
    return _indexed([int(text[i : i + 2] != "\r\n") for i in range(len(text))])


def _utf16_short_line_ends(text: str) -> _Places:
    return _indexed([(1 + (ord(c) > 0xFFFF)) * (text[i : i + 2] != "\r\n") for i, c in enumerate(text)])


def _utf8(text: str) -> _Places:
    return _indexed([len(c.encode("utf-8", "surrogatepass")) for c in text])


def _with_mark(text: str) -> _Places:
    return {offset: offset - 1 for offset in range(1, len(text) + 2)}


def _indexed(units: list[int]) -> _Places:
    places = {0: 0}
    for index, offset in enumerate(itertools.accumulate(units)):
        places.setdefault(offset, index + 1)  # before a line end that counts once
    return places


def _place(places: _Places, offset: int, text: str) -> int:
    return offset if places is None else places.get(offset, len(text) + 1)


def _has_astral(text: str) -> bool:
    return not text.isascii() and max(text) > "\uffff"


COUNTINGS = (
    Counting("units of UTF-16, as JavaScript does", _utf16, _has_astral, 1),
    Counting("\\r\\n as one character", _short_line_ends, lambda text: "\r\n" in text, 2),
    Counting(
        "units of UTF-16, and \\r\\n as one",
        _utf16_short_line_ends,
        lambda text: "\r\n" in text and _has_astral(text),
        2,
    ),
    Counting("bytes of UTF-8", _utf8, lambda text: not text.isascii(), 2),
)
"""The ways in which tools count offsets, beside characters, in the order in which they are tried."""
