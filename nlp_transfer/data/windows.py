"""Overlapping windows over the words of a text that is longer than the encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Window(NamedTuple):
    """Words `start` to `end` (end excluded) are shown to the encoder; those from `own` to `own_end` are predicted."""

    start: int
    end: int
    own: int
    own_end: int


def windows(lengths: Sequence[int], budget: int) -> list[Window]:
    """Overlapping windows over words, each word predicted in exactly one of them.

    `lengths` holds the tokens of each word, none more than `budget`, the tokens a window has room for. Neighbours
    share about a quarter of a window; of the shared words the first half is predicted in the earlier window and the
    second half in the later one, so that every word has context on both sides.
    """
    spans = _cuts(lengths, budget)
    borders = [0]
    for (_, end), (start, _) in pairwise(spans):
        borders.append((start + end + 1) // 2)
    borders.append(len(lengths))
    return [Window(*span, *own) for span, own in zip(spans, pairwise(borders), strict=True)]


def _cuts(lengths: Sequence[int], budget: int) -> list[tuple[int, int]]:
    spans = [(0, _fill(lengths, 0, budget))]
    while spans[-1][1] < len(lengths):
        previous_start, previous_end = spans[-1]
        start, shared = previous_end, 0
        while start > previous_start + 1 and shared + lengths[start - 1] <= budget // 4:
            start -= 1
            shared += lengths[start]
        end = _fill(lengths, start, budget)
        while end <= previous_end:  # one long word next: give up context until it fits
            start += 1
            end = _fill(lengths, start, budget)
        spans.append((start, end))
    return spans


def _fill(lengths: Sequence[int], start: int, budget: int) -> int:
    """One past the last word that fits into a window from `start` on."""
    used, end = 0, start
    while end < len(lengths) and used + lengths[end] <= budget:
        used += lengths[end]
        end += 1
    return end
