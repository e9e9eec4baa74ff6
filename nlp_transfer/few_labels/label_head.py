"""A linear head for few rows: ridge regression in closed form, in which label texts count as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nlp_transfer.metrics.temperature import platt_scaling_of

_PRIORS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""How many rows the texts of a label may count for."""

_PENALTIES = np.geomspace(0.03, 30.0, 10)
_TEMPERATURES = np.geomspace(0.02, 1.0, 20)
_CONSTANT = 10.0  # the value of a constant column: its weight is small, and the penalty hardly touches it
_CHOSEN_ON = 2_000  # rows at most: more choose no better


class LabelVectors(NamedTuple):
    """The vectors of label texts, `(texts, width)`, and the label id of each, `(texts,)`."""

    vectors: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class LabelHead:
    """A linear layer from vectors to logits, `weight` `(labels, width)` and `bias` `(labels,)`, and how it was chosen.

    `prior` is how many rows the texts of a label count for, 0 where they are left out. `held_out` are the logits of
    each row by the head that is fitted without it, `(rows, labels)`, and `loss` is their mean log loss.
    """

    weight: np.ndarray
    bias: np.ndarray
    prior: float
    penalty: float
    held_out: np.ndarray
    loss: float

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Logits of vectors `(rows, width)`, `(rows, labels)`."""
        return vectors @ self.weight.T + self.bias


def fit_label_head(
    vectors: np.ndarray, labels: np.ndarray, count: int, texts: LabelVectors | None = None, *, is_balanced: bool = True
) -> LabelHead:
    """Fit a head of `count` labels to the vectors of few rows, `(rows, width)`, in seconds.

    `labels` are ids, `(rows,)`, or 0 and 1 for each label where a row may have several, `(rows, labels)`. The texts of
    a label are further rows, which together count for as many rows as `prior` says, and which differ from real rows as
    a whole by an offset that is fitted too, and left out of the head. Prior and penalty are those of the least log loss
    where one row at a time is left out, which ridge regression has in closed form; so has the temperature by which the
    logits are divided, so that probabilities mean something after 8 rows a label. Where it `is_balanced` single labels
    count alike, however many rows they have. A label that no row has is known by its texts. Computed in float64.

    Weights that begin at label texts are the idea of LP++ (Huang et al. 2024, "LP++: A surprisingly strong linear probe
    for few-shot CLIP").

    >>> texts = LabelVectors(model.embed(["card is lost", "card is late"]), np.arange(2))
    >>> head = fit_label_head(vectors, labels, 2, texts)
    """
    targets = labels.astype(np.float64) if labels.ndim == 2 else np.eye(count)[labels]
    scale = np.sqrt(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).mean()) or 1.0
    calibrate = _sigmoid_calibration if labels.ndim == 2 else _softmax_calibration
    # As in Platt's scaling, a row is not sure of its label: of k rows one more might have had another.
    doubt = 1 / (1 + len(targets) / count) if labels.ndim == 1 else 0.0
    doubted = (1 - doubt) * targets + doubt / count
    some = slice(None, None, max(1, len(targets) // _CHOSEN_ON))
    best, calibrated = None, _Calibration(np.inf, 1.0, 0.0)
    needs_texts = bool((targets.sum(axis=0) == 0).any())
    priors = (prior for prior in _PRIORS if prior >= needs_texts) if texts else _PRIORS[:1]
    for prior in priors:
        for fit in _fits(vectors / scale, targets, texts, scale, prior, is_balanced and labels.ndim == 1):
            now = calibrate(fit.held_out[some], doubted[some])
            if best is None or now.loss < calibrated.loss:
                best, calibrated = fit, now
    assert best is not None
    width, slope = vectors.shape[1], calibrated.slope
    return LabelHead(
        weight=slope * best.weights[:width].T / scale,
        bias=slope * best.weights[width] * _CONSTANT + calibrated.shift,
        prior=best.prior,
        penalty=best.penalty,
        held_out=slope * best.held_out + calibrated.shift,
        loss=calibrated.loss,
    )


class _Fit(NamedTuple):
    weights: np.ndarray
    held_out: np.ndarray
    prior: float
    penalty: float


def _fits(
    vectors: np.ndarray,
    targets: np.ndarray,
    texts: LabelVectors | None,
    scale: float,
    prior: float,
    is_balanced: bool,
) -> Iterator[_Fit]:
    """The ridge regressions of each penalty, with the values of each row by the one that is fitted without it.

    That value is y - (y - f) / (1 - h), with h the row's leverage (Allen 1974, "The relationship between variable
    selection and data augmentation and a method for prediction").
    """
    rows = len(vectors)
    weight_of = np.ones(rows)
    if texts and prior:
        share = prior / np.bincount(texts.labels, minlength=targets.shape[1])[texts.labels]
        vectors = np.concatenate([vectors, texts.vectors / scale])
        targets = np.concatenate([targets, np.eye(targets.shape[1])[texts.labels]])
        weight_of = np.concatenate([weight_of, share])
    if is_balanced:
        totals = weight_of @ targets
        weight_of = weight_of / (targets @ totals) * totals[totals > 0].mean()
    root = np.sqrt(weight_of)[:, None]
    constant = np.full((len(vectors), 1), _CONSTANT)
    offset = constant * (np.arange(len(vectors)) >= rows)[:, None]
    u, s, vt = np.linalg.svd(np.hstack([vectors, constant, offset]) * root, full_matrices=False)
    wanted = targets * root
    projected = u.T @ wanted
    for penalty in _PENALTIES:
        kept = s**2 / (s**2 + penalty)
        left = 1 - (u**2 @ kept)
        held_out = (wanted - (wanted - (u * kept) @ projected) / np.maximum(left, 1e-9)[:, None]) / root
        yield _Fit(vt.T @ ((s / (s**2 + penalty))[:, None] * projected), held_out[:rows], prior, penalty)


class _Calibration(NamedTuple):
    loss: float
    slope: float
    shift: float


def _softmax_calibration(values: np.ndarray, targets: np.ndarray) -> _Calibration:
    best = _Calibration(np.inf, 1.0, 0.0)
    for temperature in _TEMPERATURES:
        logits = values / temperature
        largest = logits.max(axis=1, keepdims=True)
        normaliser = largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1))
        loss = float((normaliser - (targets * logits).sum(axis=1)).mean())
        if loss < best.loss:
            best = _Calibration(loss, 1 / temperature, 0.0)
    return best


def _sigmoid_calibration(values: np.ndarray, targets: np.ndarray) -> _Calibration:
    slope, shift = platt_scaling_of(values.ravel(), targets.ravel() > 0.5)
    logits = slope * values + shift
    return _Calibration(float((np.logaddexp(0, logits) - targets * logits).mean()), slope, shift)
