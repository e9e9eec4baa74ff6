"""Linear probe of features in cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

FOLDS = 5
_STRENGTHS = (0.001, 0.01, 0.1)  # C of logistic regression on standardised features, the strongest first


@dataclass(frozen=True)
class Probe:
    """Probabilities out of fold, `(items, labels)`: of each item those of a classifier fitted to other items."""

    chances: np.ndarray
    strength: float


def probe(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> Probe:
    """Multinomial logistic regression in 5-fold cross-validation (3 or 2 where a label has fewer items than 5).

    Items of one group (the words of a sentence, the rows of one text) share a fold. Of three strengths of the
    regularisation the one under which the held-out labels are most likely is taken, so that wide and narrow encoders
    are each read as well as they can be. It is chosen on the items that are then scored, which flatters every score by
    a little; inner folds would be five times the work.

    `features` are `(items, width)`, `labels` and `groups` ids `(items,)`.
    """
    from sklearn.linear_model import LogisticRegression  # a second to load
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.preprocessing import StandardScaler

    folds = int(np.clip(np.bincount(labels)[np.unique(labels)].min(), 2, FOLDS))
    chances = np.zeros((len(_STRENGTHS), len(labels), int(labels.max()) + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that stop early, and of labels that a fold lacks
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(features, labels, groups)
        for train, held_out in parts:
            scaler = StandardScaler().fit(features[train].astype(np.float64))
            train_features, other_features = (
                scaler.transform(features[places].astype(np.float64)) for places in (train, held_out)
            )
            classifier = LogisticRegression(max_iter=100, tol=1e-3, warm_start=True)
            for row, strength in enumerate(_STRENGTHS):  # each starts from the one before
                classifier.set_params(C=strength).fit(train_features, labels[train])
                chances[row][np.ix_(held_out, classifier.classes_)] = classifier.predict_proba(other_features)
    likely = np.log(np.maximum(chances[:, np.arange(len(labels)), labels], 1e-12)).mean(axis=1)
    best = int(likely.argmax())
    return Probe(chances[best], _STRENGTHS[best])
