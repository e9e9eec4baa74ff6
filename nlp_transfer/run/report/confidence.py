"""Calibration of probabilities, and accuracy by coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlp_transfer.metrics.calibration_error import (
    adaptive_calibration_error,
    brier_score,
    expected_calibration_error,
    reliability,
)

_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # of the rows on which the model does not abstain
_POINTS = 120  # of a curve


def calibration(probabilities: np.ndarray, correct: np.ndarray, brier: float) -> dict[str, Any]:
    """Calibration errors, and bins of a reliability diagram, of predictions with `probabilities`, `(predictions,)`."""
    return {
        "ece": expected_calibration_error(probabilities, correct),
        "adaptive": adaptive_calibration_error(probabilities, correct),
        "brier": brier,
        "bins": [one._asdict() for one in reliability(probabilities, correct)],
    }


def brier_of_labels(probabilities: np.ndarray, ids: Sequence[int]) -> float:
    """The Brier score of one label a row."""
    return brier_score(probabilities, np.asarray(ids))


def brier_of_sets(probabilities: np.ndarray, marks: np.ndarray) -> float:
    """The Brier score of several labels a row: the mean over rows and labels."""
    return brier_score(probabilities, marks) / probabilities.shape[1]


def coverage(certainty: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    """Accuracy on the most certain rows, for each share of the rows (El-Yaniv and Wiener 2010).

    Rows of equal certainty are covered together, or not at all, as by a threshold.
    """
    order = np.argsort(-certainty, kind="stable")
    ranked, right = certainty[order], np.cumsum(correct[order])
    covered = np.arange(1, len(order) + 1)
    # The last row of each certainty: a threshold cannot part rows of equal certainty.
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    shares, accuracies, least = covered[ends] / len(order), right[ends] / covered[ends], ranked[ends]
    shown = np.unique(np.linspace(0, len(ends) - 1, _POINTS).round().astype(int))
    table = []
    for share in _SHARES:
        at = min(int(np.searchsorted(shares, share - 1e-9)), len(ends) - 1)
        row = {"share": float(shares[at]), "accuracy": float(accuracies[at]), "least": float(least[at])}
        if row not in table:
            table.append(row)
    return {"points": [[float(shares[i]), float(accuracies[i])] for i in shown], "table": table}
