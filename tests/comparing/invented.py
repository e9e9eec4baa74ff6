"""Entries as made up as tests want them."""

from __future__ import annotations

import numpy as np

from nlp_transfer.comparing.entries import Entry
from nlp_transfer.metrics import label_counts

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
    gold = ["a", "b"] * (rows // 2)
    counts = []
    for seed in range(seeds):
        right = round(score * rows) - seed
        said = [label if row < right else {"a": "b", "b": "a"}[label] for row, label in enumerate(gold)]
        counts.append(label_counts(said, gold, ["a", "b"]))
    scores = tuple(float(c.of(np.ones((1, rows)))[metric][0]) for c in counts)
    is_baseline = name in (SCRATCH, SVM, MAJORITY)
    return Entry(
        name=name,
        fraction=fraction,
        rows=round(1000 * fraction),
        is_baseline=is_baseline,
        encoder="" if name in (SVM, MAJORITY) else "an-encoder",
        seeds=tuple(range(seeds)),
        validation=(score if validation is None else validation,) * seeds,
        scores=scores,
        validation_counts=tuple(counts),
        counts=tuple(counts),
        seconds=seconds,
        trained_weights=None if name in (SVM, MAJORITY) else 1234,
        peak_memory=500_000_000,
        gpu_memory=None,
        disk=None if name in (SVM, MAJORITY) else 90_000_000,
        flags=() if is_baseline else ("--strategy", name),
    )


def all_beside(*candidates: Entry, svm: float = 0.6, scratch: float = 0.5) -> list[Entry]:
    """Candidates beside the usual baselines on all rows."""
    return [*candidates, entry(SCRATCH, scratch), entry(SVM, svm), entry(MAJORITY, 0.5)]
