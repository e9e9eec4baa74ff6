"""Entries as made up as tests want them."""

from __future__ import annotations

import numpy as np

from nlp_transfer.experiments.compare.entries import Entry
from nlp_transfer.metrics import RowCounts, is_error, label_counts

ROWS = 200
SCRATCH, SVM, MAJORITY = "scratch", "TF-IDF + linear SVM", "majority label"


def entry(
    name: str,
    score: float,
    *,
    seconds: float = 100.0,
    validation: float | None = None,
    fraction: float = 1.0,
    seeds: int = 2,
    rows: int = ROWS,
    metric: str = "accuracy",
) -> Entry:
    """An entry that is right on the first rows, as many as its score says, on all seeds but for one row."""
    validation = score if validation is None else validation
    share = 1 - validation if is_error(metric) else validation  # of the validation rows that it is right on
    counts = _counts(score, seeds, rows)
    scores = tuple(float(c.of(np.ones((1, rows)))[metric][0]) for c in counts)
    is_baseline = name in (SCRATCH, SVM, MAJORITY)
    return Entry(
        name=name,
        fraction=fraction,
        rows=round(1000 * fraction),
        is_baseline=is_baseline,
        encoder="" if name in (SVM, MAJORITY) else "an-encoder",
        seeds=tuple(range(seeds)),
        validation=(validation,) * seeds,
        scores=scores,
        validation_counts=_counts(share, seeds, rows),
        counts=counts,
        seconds=seconds,
        trained_weights=None if name in (SVM, MAJORITY) else 1234,
        peak_memory=500_000_000,
        gpu_memory=None,
        disk=None if name in (SVM, MAJORITY) else 90_000_000,
        flags=() if is_baseline else ("--strategy", name),
    )


def _counts(right: float, seeds: int, rows: int) -> tuple[RowCounts, ...]:
    gold = ["a", "b"] * (rows // 2)
    found = []
    for seed in range(seeds):
        wrong_from = round(right * rows) - seed
        said = [label if row < wrong_from else {"a": "b", "b": "a"}[label] for row, label in enumerate(gold)]
        found.append(label_counts(said, gold, ["a", "b"]))
    return tuple(found)


def all_beside(*candidates: Entry, svm: float = 0.6, scratch: float = 0.5) -> list[Entry]:
    """Candidates beside the usual baselines on all rows."""
    return [*candidates, entry(SCRATCH, scratch), entry(SVM, svm), entry(MAJORITY, 0.5)]
