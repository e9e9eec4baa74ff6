"""Which of CoNLL columns holds the words, where nobody says so."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLACE = re.compile(r"\d+(?:[-.:]\d+)*")  # a number, or a range: of sentences, words or characters


def is_no_word(fields: Sequence[str]) -> bool:
    """Whether the number of a word is that of a multiword token or an empty node of CoNLL-U: 1-2, 1.1."""
    return bool(re.fullmatch(r"\d+[-.]\d+", fields[0]))


def numbers_words(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column counts the words of most sentences, from 0 or 1, or on from sentence to sentence."""
    due = -1
    counted = steps = total = 0
    for fields in rows:
        if fields and not is_no_word(fields):
            total += 1
            steps += fields[0] == str(due)
            counted += fields[0] in ("0", "1", str(due))
            due = int(fields[0]) + 1 if fields[0].isdecimal() else -1
    return steps > 0 and 2 * steps >= counted and counted >= 0.9 * total


def first_word_column(rows: Sequence[Sequence[str]], width: int, places: int) -> int:
    """The first column that may hold words: not of numbers or ranges of numbers, and not of one text a sentence."""
    for column in range(places):
        sentences: list[list[str]] = [[]]
        for fields in rows:
            if len(fields) == width:
                sentences[-1].append(fields[column])
            elif not fields:
                sentences.append([])
        cells = [cell for sentence in sentences for cell in sentence]
        are_places = sum(bool(_PLACE.fullmatch(cell)) for cell in cells) >= 0.95 * len(cells)
        long = [sentence for sentence in sentences if len(sentence) > 1]
        if not are_places and not (long and all(len(set(sentence)) == 1 for sentence in long)):
            return column
    return 0
