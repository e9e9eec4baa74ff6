"""A linear layer on pooled states that gives probabilities which were found in another way."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

_PENALTY = 1e-3  # on squared weights of standardised dimensions, beside the mean loss of a text
_STEPS = 100


def fit_soft_layer(
    vectors: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The weight `(labels, width)` and bias `(labels,)` whose softmax is nearest to `probabilities`, `(rows, labels)`.

    `vectors` `(rows, width)` are pooled states as the network gives them, `weights` `(rows,)` say how much a row
    counts. It is logistic regression with soft targets (Hinton et al. 2015, "Distilling the knowledge in a neural
    network"), solved by L-BFGS.
    """
    centre, scale = vectors.mean(axis=0), max(float(vectors.std()), 1e-9)
    rows = torch.from_numpy(((vectors - centre) / scale).astype(np.float32))
    targets = torch.from_numpy(probabilities.astype(np.float32))
    each = torch.ones(len(rows)) if weights is None else torch.from_numpy(weights.astype(np.float32))
    each = each / each.sum()
    weight = torch.zeros(targets.shape[1], rows.shape[1], requires_grad=True)
    bias = targets.clamp(min=1e-6).mul(each[:, None]).sum(dim=0).log().requires_grad_()
    solver = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        by_row = F.cross_entropy(rows @ weight.T + bias, targets, reduction="none")
        total = (each * by_row).sum() + _PENALTY * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.inference_mode(False), torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    unscaled = weight.detach().numpy().astype(np.float64) / scale
    return unscaled, bias.detach().numpy().astype(np.float64) - unscaled @ centre
