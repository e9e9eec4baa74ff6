"""Which candidate is best, how sure is that, and what was the transfer worth?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from nlp_transfer.experiments.compare.entries import Entry
from nlp_transfer.experiments.compare.learning_curve import RowsNeeded, rows_needed
from nlp_transfer.heads.baselines import BASELINE_NAMES
from nlp_transfer.metrics import Interval, difference, interval, is_error

_OF_WORDS = tuple(BASELINE_NAMES[name] for name in ("tfidf_svm", "tfidf_ridge", "gazetteer"))


@dataclass(frozen=True)
class Gain:
    """How much better than a baseline on the same rows, and how many rows that one would need for the same score."""

    over: str
    difference: Interval
    rows_needed: RowsNeeded


@dataclass(frozen=True)
class Line:
    """An entry, how sure its score is, and how it stands beside the best candidate and the best baseline.

    A difference is None where it is one with itself; `gains` are those over `scratch` and over the baseline that reads
    words alone, and baselines have none.
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
