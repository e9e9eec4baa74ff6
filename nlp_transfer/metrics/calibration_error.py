"""Scores of probabilities: calibration errors and the Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

BINS = 15
"""Of equal width, as in Guo et al. (2017), so that numbers can be compared with theirs."""


class Bin(NamedTuple):
    """The rows whose probability is above `low` and at most `high`: how many, their mean, and the share that is right.

    `probability` and `share` are 0.0 where there are no rows.
    """

    low: float
    high: float
    rows: int
    probability: float
    share: float


def reliability(
    probabilities: Sequence[float] | np.ndarray, correct: Sequence[Any] | np.ndarray, bins: int = BINS
) -> list[Bin]:
    """The probabilities of predicted labels, `(rows,)`, beside the share that is right, in bins of equal width.

    Raises ValueError if lengths differ, there are no rows, or a probability is not in [0, 1].

    >>> reliability([0.9, 0.7], [True, False], bins=2)[1]
    Bin(low=0.5, high=1.0, rows=2, probability=0.8, share=0.5)
    """
    given, right = _checked(probabilities, correct)
    edges = np.linspace(0.0, 1.0, bins + 1)
    # A probability at an edge belongs below it, and 0 to the first bin.
    place = np.clip(np.searchsorted(edges, given, side="left") - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    known = np.maximum(rows, 1)
    means = np.bincount(place, given, minlength=bins) / known
    shares = np.bincount(place, right, minlength=bins) / known
    return [
        Bin(float(edges[i]), float(edges[i + 1]), int(rows[i]), float(means[i]), float(shares[i])) for i in range(bins)
    ]


def expected_calibration_error(
    probabilities: Sequence[float] | np.ndarray, correct: Sequence[Any] | np.ndarray, bins: int = BINS
) -> float:
    """The expected calibration error (ECE): how far the mean probability of a bin is from the share that is right.

    `probabilities`, `(rows,)`, are those of the predicted labels, `correct` holds which of them are right. Bins have
    equal width, and are weighted by their rows (Naeini et al. 2015; Guo et al. 2017). Raises as `reliability` does.

    >>> round(expected_calibration_error([0.9, 0.7], [True, False], bins=2), 3)
    0.3
    """
    filled = reliability(probabilities, correct, bins)
    return sum(b.rows * abs(b.probability - b.share) for b in filled) / sum(b.rows for b in filled)


def adaptive_calibration_error(
    probabilities: Sequence[float] | np.ndarray, correct: Sequence[Any] | np.ndarray, bins: int = BINS
) -> float:
    """The calibration error over bins that hold equally many rows (Nguyen and O'Connor 2015), so that none is empty.

    Rows of equal probability keep their order. Raises as `reliability` does.
    """
    given, right = _checked(probabilities, correct)
    order = np.argsort(given, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(given[part].sum() - right[part].sum()) for part in parts) / len(given))


def brier_score(probabilities: Sequence[Sequence[float]] | np.ndarray, expected: Sequence[Any] | np.ndarray) -> float:
    """The squared distance of probabilities, `(rows, labels)`, from the references, summed over labels (Brier 1950).

    `expected` holds label ids, `(rows,)`, or, where a row may have several labels, `(rows, labels)` of 0 and 1. 0 is
    best; for one label a row 2 is worst. Raises ValueError if lengths differ or there are no rows.

    >>> brier_score([[0.8, 0.2]], [0]) == brier_score([[0.8, 0.2]], [[1, 0]])
    True
    """
    given = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(expected)
    if len(given) != len(truth) or not len(given):
        raise ValueError(f"{len(given)} rows of probabilities but {len(truth)} references; a row needs one of each")
    if truth.ndim == 1:
        truth = np.eye(given.shape[1])[truth]
    return float(((given - truth) ** 2).sum(axis=1).mean())


def tempered(probabilities: Sequence[Sequence[float]] | np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities, `(rows, labels)`, that logits divided by a temperature would give: softmax(log p / T).

    A temperature above 1 makes them less confident; the likeliest label stays the likeliest.

    >>> tempered([[0.8, 0.2]], 1.0).round(3).tolist()
    [[0.8, 0.2]]
    """
    given = np.asarray(probabilities, dtype=np.float64)
    logits = np.log(np.maximum(given, np.finfo(np.float64).tiny)) / temperature
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def _checked(probabilities: Any, correct: Any) -> tuple[np.ndarray, np.ndarray]:
    given, right = np.asarray(probabilities, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if given.shape != right.shape or given.ndim != 1 or not len(given):
        raise ValueError(
            f"probabilities have shape {given.shape} and correct has {right.shape}; each row needs one of each"
        )
    if not ((given >= 0) & (given <= 1 + 1e-9)).all():
        raise ValueError("probabilities lie in [0, 1]; a row has one outside")
    return given, right
