"""Scores of predicted numbers: their errors and correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nlp_transfer.metrics.paired_rows import check_lengths
from nlp_transfer.types import Scores


def regression_scores(predictions: Sequence[float], references: Sequence[float]) -> Scores:
    """Mean squared and absolute error, and the correlations of Pearson and of Spearman.

    A correlation is undefined where either side is one and the same number throughout, and 0.0 here. Raises ValueError
    if lengths differ or there are no rows.

    >>> regression_scores([1.0, 2.0], [1.0, 4.0])["mse"]
    2.0
    """
    from scipy.stats import spearmanr  # takes a while, and only where scored

    check_lengths(predictions, references)
    predicted, expected = np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64)
    off = predicted - expected
    varies = min(np.ptp(predicted), np.ptp(expected)) > 0
    return {
        "mse": float(np.mean(off**2)),
        "mae": float(np.mean(np.abs(off))),
        "pearson": _finite(np.corrcoef(predicted, expected)[0, 1]) if varies else 0.0,
        "spearman": _finite(spearmanr(predicted, expected).statistic) if varies else 0.0,
    }


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
