"""A linear layer on pooled states that gives probabilities which were found in another way."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from nlp_transfer.few_labels.text_view import unit

Layer = tuple[np.ndarray, np.ndarray]
"""The weight `(labels, width)` and the bias `(labels,)` of a linear layer."""

_PENALTY, _FEW = 1e-4, 1.0
"""The penalty on squared changes of weights beside the mean loss of a row, and what few rows add to it over all."""

_STEPS = 100


def cosine_layer(vectors: np.ndarray, anchors: np.ndarray, centre: np.ndarray, factor: float) -> Layer:
    """The layer `(labels, width)`, `(labels,)` whose logits are `factor` times the cosines of centred vectors.

    They would be but for the lengths of vectors, which vary, and of which the mean of `vectors` is taken. `anchors` and
    `centre` are those of a `TextView`.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    centred_lengths = np.linalg.norm(unit(vectors) - centre, axis=1)
    weight = factor * anchors / (lengths.mean() * max(float(centred_lengths.mean()), 1e-9))
    return weight, -weight @ centre * lengths.mean()


def fit_soft_layer(vectors: np.ndarray, probabilities: np.ndarray, start: Layer) -> Layer:
    """The weight `(labels, width)` and bias `(labels,)` whose softmax is nearest to `probabilities`, `(rows, labels)`.

    `vectors` `(rows, width)` are pooled states as the network gives them. It is logistic regression with soft targets
    (Hinton et al. 2015, "Distilling the knowledge in a neural network"), solved by L-BFGS; the penalty pulls towards
    the layer `start`, which few rows so leave nearly as it is.
    """
    centre, scale = vectors.mean(axis=0), max(float(vectors.std()), 1e-9)
    rows = torch.from_numpy(((vectors - centre) / scale).astype(np.float32))
    targets = torch.from_numpy(probabilities.astype(np.float32))
    start_weight, start_bias = start
    first = torch.from_numpy((start_weight * scale).astype(np.float32))
    weight = first.clone().requires_grad_()
    bias = torch.from_numpy((start_bias + start_weight @ centre).astype(np.float32)).requires_grad_()
    penalty = _PENALTY + _FEW / len(rows)
    solver = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        total = F.cross_entropy(rows @ weight.T + bias, targets) + penalty * (weight - first).square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.inference_mode(False), torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    unscaled = weight.detach().numpy().astype(np.float64) / scale
    return unscaled, bias.detach().numpy().astype(np.float64) - unscaled @ centre
