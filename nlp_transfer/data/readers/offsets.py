"""Offsets of annotation tools, converted to characters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from nlp_transfer.data.character_spans import CharSpan, Misaligned


class Mark(NamedTuple):
    """A span as a tool has written it: the offsets may count otherwise than in characters, `surface` tells."""

    start: int
    end: int
    type: str
    surface: str | None
    parts: int


def resolved(text: str, marks: Sequence[Mark]) -> tuple[list[CharSpan], list[Misaligned]] | str:
    """Spans in characters of `text`; those in several parts, which have no tags; or the fault.

    A tool may count in UTF-16 (as JavaScript does), take a Windows line end for one character, or count a byte order
    mark; where it gives the text of its spans, the first way of counting by which all of them stand there is taken.
    """
    for count in (_characters, _utf16, _short_line_ends, _utf16_short_line_ends, _with_mark):
        places = count(text)
        spans = [CharSpan(_place(places, m.start, text), _place(places, m.end, text), m.type) for m in marks]
        pairs = list(zip(marks, spans, strict=True))
        if all(m.surface is None or m.parts > 1 or _same(text, span, m.surface) for m, span in pairs):
            break
        if count is _with_mark:
            return "a span whose text is not what stands there"
    parted = [Misaligned(span, f"is in {mark.parts} parts", None) for mark, span in pairs if mark.parts > 1]
    return [span for mark, span in pairs if mark.parts == 1], parted


def _same(text: str, span: CharSpan, surface: str) -> bool:
    there = text[span.start : span.end] if 0 <= span.start <= span.end else ""
    return _bare(there) == _bare(surface)


def _bare(text: str) -> str:
    return "".join(text.replace("\\n", " ").split())  # tools write a line end within a span as a blank, or as \n


_Places = dict[int, int] | None
"""The character at which each offset of a tool stands; None where offsets are characters."""


def _characters(text: str) -> _Places:
    return None


def _utf16(text: str) -> _Places:
    return _indexed([1 + (ord(c) > 0xFFFF) for c in text])


def _short_line_ends(text: str) -> _Places:
    return _indexed([int(text[i : i + 2] != "\r\n") for i in range(len(text))])


def _utf16_short_line_ends(text: str) -> _Places:
    return _indexed([(1 + (ord(c) > 0xFFFF)) * (text[i : i + 2] != "\r\n") for i, c in enumerate(text)])


def _with_mark(text: str) -> _Places:
    return {offset: offset - 1 for offset in range(1, len(text) + 2)}


def _indexed(units: list[int]) -> _Places:
    places = {0: 0}
    for index, offset in enumerate(itertools.accumulate(units)):
        places.setdefault(offset, index + 1)  # before a line end that counts once
    return places


def _place(places: _Places, offset: int, text: str) -> int:
    return offset if places is None else places.get(offset, len(text) + 1)
