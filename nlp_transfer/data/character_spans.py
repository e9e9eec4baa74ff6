"""Character spans, and the entities of words that they cover."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from nlp_transfer.data.tag_schemes import TypedSpan

MANNERS = ("strict", "snap", "drop")
"""What is done with a span that does not align with words: stop, widen it to whole words, or leave it out."""

Offsets = Sequence[tuple[int, int]]
"""Where each word stands in its text: its first character, one past its last one."""

# Chinese characters and kana, and the scripts of Thailand, Laos, Burma and Cambodia: no blanks stand between words.
_UNSPACED = (
    "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)


class CharSpan(NamedTuple):
    """Characters `start` to `end` (end excluded) of a text, and the type of the entity that they are."""

    start: int
    end: int
    type: str


class Misaligned(NamedTuple):
    """A span that does not align with words, why, and what it became: None where it was left out."""

    span: CharSpan
    why: str
    became: CharSpan | None


def word_offsets(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand: runs of letters and digits, single marks, single signs of unspaced scripts.

    >>> word_offsets("Ann's 猫")
    [(0, 3), (3, 4), (4, 5), (6, 7)]
    """
    return [match.span() for match in _word_pattern().finditer(text)]


@cache  # made when it is first used: it takes a tenth of a second
def _word_pattern() -> re.Pattern[str]:
    # Vowel signs, accents and joiners belong to the letter before them, though \w does not hold them.
    marks = "\u200c\u200d" + "".join(c for c in map(chr, range(0x300, 0x1F000)) if unicodedata.category(c)[0] == "M")
    return re.compile(rf"[{_UNSPACED}][{marks}]*|(?:(?![{_UNSPACED}])\w[{marks}]*)+|[^\w\s][{marks}]*")


def to_entities(
    text: str, spans: Iterable[CharSpan], offsets: Offsets, manner: str = "strict"
) -> tuple[list[TypedSpan], list[Misaligned]]:
    """The entities in words that spans of characters are, in order, and the spans that do not align with words.

    Those are spans with an end inside a word, with blanks at an end, or beyond the text, and of spans that overlap all
    but the longest. `snap` widens a span to the words that it touches; else it is left out. One span given twice is
    one.

    >>> to_entities("in Berlin", [CharSpan(3, 6, "LOC")], word_offsets("in Berlin"), "snap")
    ([('LOC', 1, 2)], [Misaligned(span=CharSpan(start=3, end=6, type='LOC'), why='cuts a word', became=...)])
    """
    first_of = {start: word for word, (start, _) in enumerate(offsets)}
    last_of = {end: word for word, (_, end) in enumerate(offsets)}
    fitting: list[tuple[TypedSpan, CharSpan]] = []
    misaligned = []
    for span in sorted(set(spans)):
        start, end, kind = span
        if 0 <= start < end <= len(text) and start in first_of and end in last_of:
            fitting.append(((kind, first_of[start], last_of[end] + 1), span))
            continue
        why, words = _why(text, span, offsets)
        became = CharSpan(offsets[words[0]][0], offsets[words[-1]][1], kind) if words and manner == "snap" else None
        misaligned.append(Misaligned(span, why, became))
        if became:
            fitting.append(((kind, words[0], words[-1] + 1), span))
    entities, overlapping = _longest(fitting)
    known = {span: place for place, (span, _, _) in enumerate(misaligned)}
    for span, why in overlapping:
        if span in known:  # snapped onto another one
            misaligned[known[span]] = Misaligned(span, why, None)
        else:
            misaligned.append(Misaligned(span, why, None))
    return entities, misaligned


def to_characters(entities: Iterable[TypedSpan], offsets: Offsets) -> list[CharSpan]:
    """The characters that entities of words cover: the inverse of `to_entities`.

    >>> to_characters([("LOC", 1, 2)], [(0, 2), (3, 9)])
    [CharSpan(start=3, end=9, type='LOC')]
    """
    return [CharSpan(offsets[first][0], offsets[end - 1][1], kind) for kind, first, end in entities]


def _why(text: str, span: CharSpan, offsets: Offsets) -> tuple[str, list[int]]:
    """Why a span does not fall on words, and the words that it touches."""
    if not 0 <= span.start < span.end <= len(text):
        return ("is empty" if span.start == span.end else f"is not within the {len(text):,} characters"), []
    words = [word for word, (start, end) in enumerate(offsets) if start < span.end and span.start < end]
    if not words:
        return "holds no word", []
    cuts = offsets[words[0]][0] < span.start or span.end < offsets[words[-1]][1]
    return "cuts a word" if cuts else "has blanks at its ends", words


def _longest(fitting: list[tuple[TypedSpan, CharSpan]]) -> tuple[list[TypedSpan], list[tuple[CharSpan, str]]]:
    """Entities none of which overlap, in order, longer ones and then earlier ones preferred; and the others."""
    holder: dict[int, CharSpan] = {}  # which span has a word
    chosen, overlapping = [], []
    for entity, span in sorted(fitting, key=lambda pair: (pair[0][1] - pair[0][2], pair[0][1], pair[1])):
        _, first, end = entity
        other = next((holder[word] for word in range(first, end) if word in holder), None)
        if other is None:
            chosen.append(entity)
            holder.update(dict.fromkeys(range(first, end), span))
        else:
            overlapping.append((span, f"overlaps {other.type} [{other.start}, {other.end}]"))
    return sorted(chosen, key=lambda entity: entity[1]), overlapping
