"""LogME: the evidence of the labels under a Bayesian linear model of the features."""

from __future__ import annotations

import numpy as np

_ITERATIONS = 100
_TOLERANCE = 1e-4  # of the ratio alpha / beta, on which alone the next step depends


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """LogME (You et al. 2021, "LogME: practical assessment of pre-trained models for transfer learning").

    For each label the logarithm of the evidence of `y = Fw + noise`, `y` being 1 where an item has the label and 0
    elsewhere, with weights `w ~ N(0, 1/alpha)` and noise `N(0, 1/beta)`, at the alpha and beta that make it greatest,
    divided by the number of items; and of these the mean over labels. Alpha and beta are the fixed point of the
    authors' later work (You et al. 2022, "Ranking and tuning pre-trained models", algorithm 3), which one singular
    value decomposition of the features serves for all labels.

    `features` are `(items, width)`, `labels` ids `(items,)`.
    """
    basis, singular, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
    marks = (labels[:, None] == np.unique(labels)).astype(np.float64)
    spread = singular**2
    inside = (basis.T @ marks) ** 2  # of each label what the features explain, along each direction
    outside = np.maximum((marks**2).sum(axis=0) - inside.sum(axis=0), 0.0)
    evidences = [_evidence(spread, inside[:, label], outside[label], len(labels)) for label in range(marks.shape[1])]
    return float(np.mean(evidences))


def _evidence(spread: np.ndarray, inside: np.ndarray, outside: float, items: int) -> float:
    """The greatest evidence for one label, by item.

    Directions in which no item differs from zero add nothing: their alpha in the prior cancels that of the posterior.
    """
    ratio = 1.0  # alpha / beta
    for _ in range(_ITERATIONS):
        known = (spread / (spread + ratio)).sum()  # gamma: how many weights the items determine
        length = (spread * inside / (spread + ratio) ** 2).sum()  # of the mean weights, squared
        residual = (inside * (ratio / (spread + ratio)) ** 2).sum() + outside
        alpha, beta = known / max(length, 1e-12), (items - known) / max(residual, 1e-12)
        before, ratio = ratio, alpha / beta
        if abs(ratio - before) <= _TOLERANCE * before:
            break
    return (
        float(
            np.log(alpha) * len(spread) / 2
            + np.log(beta) * items / 2
            - np.log(alpha + beta * spread).sum() / 2
            - beta * residual / 2
            - alpha * length / 2
            - np.log(2 * np.pi) * items / 2
        )
        / items
    )
