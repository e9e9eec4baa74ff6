"""Scores of a comparison with their intervals, their differences, and the rows that the transfer is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from nlp_transfer.experiments.compare.entries import Entry
from nlp_transfer.heads.baselines import BASELINE_NAMES
from nlp_transfer.metrics import Interval, difference, interval, is_error

_OF_WORDS = tuple(BASELINE_NAMES[name] for name in ("tfidf_svm", "tfidf_ridge", "gazetteer"))

MARGIN = 0.02
"""A difference too small to act on: two points, of an error 2% of it."""


class RowsNeeded(NamedTuple):
    """About how many rows a score takes; `bound` is "more" or "less" where that is outside of the rows tried."""

    rows: int
    bound: str = ""

    def __str__(self) -> str:
        """In words."""
        return {"": f"{self.rows:,}", "more": f"more than {self.rows:,}", "less": f"{self.rows:,} or fewer"}[self.bound]


@dataclass(frozen=True)
class Gain:
    """How much better than a baseline on the same rows, and how many rows that one would need for the same score."""

    over: str
    difference: Interval
    rows_needed: RowsNeeded


@dataclass(frozen=True)
class Line:
    """An entry with the interval of its score, and its differences to the best candidate and to the best baseline.

    The difference to itself is None; `gains` are those over `scratch` and over the baseline that reads words alone, and
    baselines have none.
    """

    entry: Entry
    interval: Interval
    to_best: Interval | None
    to_baseline: Interval | None
    gains: tuple[Gain, ...] = ()


@dataclass(frozen=True)
class Group:
    """All that learned from the same share of the rows; `best` and `baseline` have the best validation scores."""

    fraction: float
    rows: int
    lines: tuple[Line, ...]
    best: Line
    baseline: Line

    @property
    def candidates(self) -> list[Line]:
        """The lines that are no baselines."""
        return [line for line in self.lines if not line.entry.is_baseline]


def groups_of(entries: Sequence[Entry], metric: str) -> list[Group]:
    """A group for each share of the rows that a candidate and a baseline have learned from, the largest first."""
    groups = []
    for fraction in sorted({entry.fraction for entry in entries}, reverse=True):
        together = [entry for entry in entries if entry.fraction == fraction]
        if {entry.is_baseline for entry in together} == {True, False}:
            groups.append(_group(together, entries, metric))
    return groups


def _group(together: Sequence[Entry], all_entries: Sequence[Entry], metric: str) -> Group:
    best = best_of([entry for entry in together if not entry.is_baseline], metric)
    baseline = best_of([entry for entry in together if entry.is_baseline], metric)
    known: dict[tuple[str, str], Interval] = {}

    def between(entry: Entry, other: Entry) -> Interval:
        names = entry.name, other.name
        if names not in known:  # the best baseline is one that gains are over, too
            known[names] = difference(entry.counts, other.counts)[metric]
        return known[names]

    def gains(entry: Entry) -> Iterator[Gain]:
        for other in together:
            is_own_scratch = other.is_baseline and other.encoder == entry.encoder
            if is_own_scratch or other.name in _OF_WORDS:
                curve = [(point.rows, point.score) for point in all_entries if point.name == other.name]
                needed = rows_needed(curve, entry.score, less_is_better=is_error(metric))
                yield Gain(other.name, between(entry, other), needed)

    lines = {
        entry.name: Line(
            entry,
            interval(entry.counts)[metric],
            None if entry is best else between(entry, best),
            None if entry is baseline else between(entry, baseline),
            () if entry.is_baseline else tuple(gains(entry)),
        )
        for entry in together
    }
    return Group(best.fraction, best.rows, tuple(lines.values()), lines[best.name], lines[baseline.name])


def best_of(entries: Sequence[Entry], metric: str) -> Entry:
    """The entry with the best mean score on validation; of equals the one that took less time."""
    sign = -1 if is_error(metric) else 1
    return max(entries, key=lambda entry: (sign * mean(entry.validation), -entry.seconds))


def rows_needed(curve: Sequence[tuple[int, float]], score: float, *, less_is_better: bool = False) -> RowsNeeded:
    """How many rows it takes to reach `score` on a learning curve of (rows, score), between points along log rows.

    A curve that falls is taken to stay at its best: who has more rows may leave some out.

    >>> rows_needed([(100, 0.5), (1000, 0.7)], 0.6)
    RowsNeeded(rows=316, bound='')
    """
    sign = -1 if less_is_better else 1
    wanted, best = sign * score, -math.inf
    before: tuple[int, float] | None = None
    for rows, reached in sorted(curve):
        best = max(best, sign * reached)
        if best >= wanted:
            if before is None:
                return RowsNeeded(rows, "less")
            share = (wanted - before[1]) / (best - before[1])
            return RowsNeeded(round(math.exp(math.log(before[0]) + share * math.log(rows / before[0]))))
        before = (rows, best)
    assert before, "a curve has a point"
    return RowsNeeded(before[0], "more")


def shown(value: float, metric: str, *, signed: bool = False) -> str:
    """A score in points of 100, and an error as it is.

    >>> shown(0.9612, "accuracy"), shown(-0.002, "accuracy", signed=True), shown(0.25, "mse")
    ('96.1', '-0.2', '0.250')
    """
    sign = "+" if signed else ""
    text = f"{value:{sign}.3f}" if is_error(metric) else f"{100 * value:{sign}.1f}"
    return text if float(text) else text.lstrip("+-")


def bounds(interval: Interval, metric: str, *, signed: bool = False) -> str:
    """The ends of an interval, as in `-0.9..0.5`."""
    return f"{shown(interval.low, metric)}..{shown(interval.high, metric)}"


def margin_of(metric: str, score: float) -> float:
    """The difference to a score that is too small to act on."""
    return MARGIN * abs(score) if is_error(metric) else MARGIN
