"""How far can the probabilities be trusted, and what if the least sure rows go to a person?"""

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

_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # of the rows that the model keeps
_POINTS = 120  # of a curve


def calibration(said: np.ndarray, correct: np.ndarray, brier: float) -> dict[str, Any]:
    """What the probabilities of decisions say, `(decisions,)`, beside the share of these that is right."""
    return {
        "ece": expected_calibration_error(said, correct),
        "adaptive": adaptive_calibration_error(said, correct),
        "brier": brier,
        "bins": [found._asdict() for found in reliability(said, correct)],
    }


def brier_of_labels(probabilities: np.ndarray, ids: Sequence[int]) -> float:
    """The Brier score of one label a row."""
    return brier_score(probabilities, np.asarray(ids))


def brier_of_sets(probabilities: np.ndarray, marks: np.ndarray) -> float:
    """The Brier score of any number of labels a row: the mean over rows and labels."""
    return brier_score(probabilities, marks) / probabilities.shape[1]


def coverage(certainty: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    """What share is right of the rows that the model is surest of, for each share of the rows.

    (El-Yaniv and Wiener 2010.) Rows of equal certainty are kept together, or not at all, as a threshold keeps them.
    """
    order = np.argsort(-certainty, kind="stable")
    sure, right = certainty[order], np.cumsum(correct[order])
    kept = np.arange(1, len(order) + 1)
    # The last row of each certainty: a threshold cannot cut between its rows.
    ends = np.flatnonzero(np.append(sure[1:] < sure[:-1], True))
    shares, accuracies, least = kept[ends] / len(order), right[ends] / kept[ends], sure[ends]
    shown = np.unique(np.linspace(0, len(ends) - 1, _POINTS).round().astype(int))
    table = []
    for wanted in _SHARES:
        at = min(int(np.searchsorted(shares, wanted - 1e-9)), len(ends) - 1)
        row = {"share": float(shares[at]), "accuracy": float(accuracies[at]), "least": float(least[at])}
        if row not in table:
            table.append(row)
    return {"points": [[float(shares[i]), float(accuracies[i])] for i in shown], "table": table}
