"""The logits of a scikit-learn classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

_UNSEEN = 30.0  # nats under the mean of the others: the logit of a label that was not in the training rows


def decisions(classifier: Any, features: np.ndarray) -> np.ndarray:
    """The scores of a fitted classifier for each of its classes, `(items, classes)`; it predicts the greatest.

    The decision function, of which two classes get one half each, so that softmax gives the probability of a logistic
    regression. Forests and neighbours vote: the log of the share of votes, with one vote more for each
    class (Laplace), since the log of no vote at all would be infinite.
    """
    if hasattr(classifier, "decision_function"):
        values = classifier.decision_function(features)
        return np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values
    last = classifier[-1]
    votes = getattr(last, "n_estimators", None) or last.n_neighbors
    shares = classifier.predict_proba(features)
    return np.log((votes * shares + 1) / (votes + shares.shape[1]))


def on_all_labels(decisions: np.ndarray, classes: np.ndarray, labels: int) -> np.ndarray:
    """Logits of all labels, `(items, labels)`; those that are not among `classes` are never the greatest."""
    return _spread(decisions, classes, labels, _UNSEEN)


def linear_layer(classifier: Any, scale: float, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight `(labels, width)` and bias `(labels,)` of the layer that gives the logits of a linear classifier."""
    scaler, last = classifier[0], classifier[-1]
    weight, bias = scale * last.coef_, scale * last.intercept_
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    weight = weight / scaler.scale_
    bias = bias - weight @ scaler.mean_
    weight = _spread(weight.T, classifier.classes_, labels, 0.0).T
    return weight, on_all_labels(bias[None], classifier.classes_, labels)[0]


def _spread(values: np.ndarray, classes: np.ndarray, labels: int, below: float) -> np.ndarray:
    # Relative to the mean, which no decision can make greater than all others.
    spread = np.repeat(values.mean(axis=1, keepdims=True) - below, labels, axis=1)
    spread[:, classes] = values
    return spread
