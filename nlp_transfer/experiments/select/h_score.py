"""H-score: the spread of labels in the features, relative to that of items."""

from __future__ import annotations

import numpy as np


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score (Bao et al. 2019, "An information-theoretic approach to transferability") with shrinkage.

    The trace of `cov(f)^-1 cov(E[f | y])`, between 0 and the number of labels less one. With fewer items than a few
    times the width the sample's covariance all but vanishes in some directions, so it is shrunk towards a multiple of
    the identity as Ledoit and Wolf (2004) say, and the covariance of the means by as much (Ibrahim et al. 2021, "Newer
    is not always better", equation 4).

    `features` are `(items, width)`, `labels` ids `(items,)`.
    """
    from sklearn.covariance import ledoit_wolf  # a second to load

    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    within, shrinkage = ledoit_wolf(centred, assume_centered=True)
    return (1 - shrinkage) * trace_ratio(within, between(centred, labels))


def between(centred: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The covariance `(width, width)` of the mean features of an item's label; features are centred."""
    names, counts = np.unique(labels, return_counts=True)
    means = np.stack([centred[labels == name].mean(axis=0) for name in names])
    return (means * counts[:, None]).T @ means / len(labels)


def trace_ratio(covariance: np.ndarray, of_means: np.ndarray) -> float:
    """The trace of `covariance^-1 of_means`; directions without variance count for nothing."""
    return float(np.trace(np.linalg.pinv(covariance, hermitian=True) @ of_means))
