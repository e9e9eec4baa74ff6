"""Out-of-fold label probabilities of a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

FOLDS = 5

Folds = Sequence[tuple[np.ndarray, np.ndarray]]
"""Of each fold the rows that are learned from, and those that are judged."""


def folds_of(targets: np.ndarray, groups: np.ndarray, seed: int) -> Folds:
    """Folds in which labels are as frequent as in all; rows of a group, of which there are five or more, share one."""
    from sklearn.model_selection import StratifiedGroupKFold  # a second to load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a label that has fewer rows than there are folds
        return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(targets, targets, groups))


def out_of_fold(classifier: Any, features: Any, targets: np.ndarray, folds: Folds) -> np.ndarray:
    """Probabilities `(rows, labels)` by copies of a classifier; `features` `(rows, width)` may be sparse.

    A label that no training row of a fold has gets 0. Unlike scikit-learn's `cross_val_predict`, this takes a fold
    whose training rows have one label.
    """
    from sklearn.base import clone

    chances = np.zeros((len(targets), int(targets.max()) + 1))
    for learned, judged in folds:
        labels = np.unique(targets[learned])
        if len(labels) == 1:
            chances[judged, labels] = 1.0
        else:
            fitted = clone(classifier).fit(features[learned], targets[learned])
            chances[np.ix_(judged, labels)] = fitted.predict_proba(features[judged])
    return chances
