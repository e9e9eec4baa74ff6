"""Loss functions, and class weights for rare labels.

Each loss is summed over rows, without those labelled `IGNORED`, or NaN where labels are numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor

from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.row_store import values
from nlp_transfer.errors import OptionError

LOSSES = ("cross_entropy", "focal", "logit_adjusted")

CLASS_WEIGHTS = ("none", "balanced", "effective_number")

BETA = 0.999
"""Of the effective number: rows of a label beyond 1 / (1 - BETA) of them add nothing new."""

_LEAST = 1e-7  # the slope of x^gamma at 0 is infinite where gamma is less than 1


def softmax_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    priors: Tensor | None = None,
    gamma: float | None = None,
) -> Tensor:
    """The loss of one label a row: `logits` `(rows, labels)`, `labels` `(rows,)` of ids, `weights` `(labels,)`.

    With `priors`, the share of each label in training, cross-entropy of logits + log(prior) (logit adjustment; Menon
    et al. 2021, "Long-tail learning via logit adjustment", equation 10 with tau 1): the logits alone then rank labels
    as if all were equally frequent. With `gamma`, (1 - p)^gamma times the cross-entropy, where p is the probability of
    the gold label (focal loss; Lin et al. 2017, "Focal loss for dense object detection", equations 4 and 5).
    """
    if priors is not None:
        logits = logits + priors.log()
    if gamma is None:
        return F.cross_entropy(
            logits, labels, weight=weights, label_smoothing=smoothing, ignore_index=IGNORED, reduction="sum"
        )
    log_p = -F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    loss = -((1 - log_p.exp()).clamp(min=_LEAST) ** gamma) * log_p
    if weights is not None:
        loss = loss * weights[labels.clamp(min=0)]
    return torch.where(labels == IGNORED, torch.zeros_like(loss), loss).sum()


def sigmoid_loss(
    logits: Tensor, labels: Tensor, *, positive_weights: Tensor | None = None, gamma: float | None = None
) -> Tensor:
    """The loss of several labels a row, the mean over the labels: `logits` and `labels` `(rows, labels)` of 0 and 1.

    Binary cross-entropy, with `positive_weights` `(labels,)` as a factor where the label is 1; with `gamma` the focal
    loss of Lin et al. 2017.
    """
    ignored = labels.isnan()
    labels = labels.masked_fill(ignored, 0.0)
    loss = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=positive_weights, reduction="none")
    if gamma is not None:
        p = torch.where(labels > 0.5, logits, -logits).sigmoid()
        loss = loss * (1 - p).clamp(min=_LEAST) ** gamma
    return loss.masked_fill(ignored, 0.0).mean(dim=1).sum()


def squared_loss(values: Tensor, labels: Tensor) -> Tensor:
    """The squared error, of one number a row, `(rows,)` both."""
    # A NaN is replaced before anything is computed from it: masked afterwards, it would still be in the gradient.
    return (values - torch.where(labels.isnan(), values.detach(), labels)).square().sum()


def class_weights(scheme: str, counts: Mapping[str, int]) -> dict[str, float]:
    """The factor on the loss of each label by its row count; all are 1 if all labels are equally frequent.

    `balanced` is rows / (labels * count): all labels together weigh the same (King and Zeng 2001, "Logistic regression
    in rare events data"). `effective_number` is (1 - BETA) / (1 - BETA^count), scaled so that the weights sum to the
    number of labels (Cui et al. 2019, "Class-balanced loss based on effective number of samples", section 3.3).
    """
    if scheme == "none":
        return {}
    if scheme == "balanced":
        return {name: sum(counts.values()) / (len(counts) * count) for name, count in counts.items()}
    weights = {name: 1 / _effective(count) for name, count in counts.items()}
    return {name: len(counts) * weight / sum(weights.values()) for name, weight in weights.items()}


def positive_weights(scheme: str, counts: Mapping[str, int], rows: int) -> dict[str, float]:
    """The factor on the loss of each label's positive rows, which are `counts` out of `rows`.

    As in `class_weights` with two classes, positive and negative: with `balanced` the negative rows for each positive
    one, with `effective_number` the same of effective numbers.
    """
    if scheme == "none":
        return {}
    if scheme == "balanced":
        return {name: max(rows - count, 1) / count for name, count in counts.items()}
    return {name: _effective(max(rows - count, 1)) / _effective(count) for name, count in counts.items()}


def with_label_frequencies(counts: Mapping[str, int], options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` of a head for one label a row, with what follows from the row count of each label.

    `class_weights` given as the name of a scheme are computed, and `logit_adjusted` gets its `priors`. Raises
    OptionError for both at once: each by itself makes up for rare labels. (Weights given by label may express the cost
    of errors, so they go with either loss.)
    """
    weights = options.get("class_weights")
    if isinstance(weights, str):
        require_scheme(weights)
        if weights != "none" and options.get("loss") == "logit_adjusted":
            raise OptionError(
                f"--class_weights {weights} and --loss logit_adjusted would make up for rare labels twice; give one of "
                "them."
            )
        weights = class_weights(weights, counts)
    computed: dict[str, Any] = {"class_weights": weights}
    if options.get("loss") == "logit_adjusted":
        computed["priors"] = {name: count / sum(counts.values()) for name, count in counts.items()}
    return {**options, **computed}


def label_frequencies(labels: Iterable[str], rows: Dataset) -> dict[str, int]:
    """The row count of each label, alone or among others, and 1 where no row has it."""
    counts: Counter[str] = Counter()
    for label in values(rows, "label"):
        counts.update([label] if isinstance(label, str) else label)
    return {name: max(counts[name], 1) for name in labels}


def recomputed_weights(
    weights: Mapping[str, float], schemes: Iterable[tuple[Mapping[str, float], Mapping[str, float]]]
) -> Mapping[str, float]:
    """Class weights for a share of the rows, by the scheme that gave `weights`; those that a user gave stay.

    `schemes` are, for each scheme, the weights of all rows and of the share.
    """
    for before, now in schemes:
        if before and before.keys() == weights.keys() and all(math.isclose(before[n], weights[n]) for n in before):
            return now
    return weights


def in_order(by_name: Mapping[str, float], names: Sequence[str], like: Tensor) -> Tensor | None:
    """Values by label name as a tensor in the order of `names`, 1 for those not named; None where none is."""
    return like.new_tensor([by_name.get(name, 1.0) for name in names]) if by_name else None


def _effective(count: int) -> float:
    return (1 - BETA**count) / (1 - BETA)


def require_loss(name: str, gamma: float, known: Sequence[str] = LOSSES) -> None:
    """Raise OptionError for an unknown loss, or a gamma of less than 0."""
    if name not in known:
        raise OptionError(f"--loss {name}: known here are {', '.join(known)}.")
    if not 0 <= gamma < math.inf:
        raise OptionError(f"--focal_gamma must be 0 or more; got {gamma}.")


def require_scheme(scheme: str) -> None:
    """Raise OptionError for an unknown scheme of class weights."""
    if scheme not in CLASS_WEIGHTS:
        raise OptionError(f"--class_weights {scheme}: known are {', '.join(CLASS_WEIGHTS)}.")


def require_weights(weights: Mapping[str, float], labels: Sequence[str]) -> None:
    """Raise OptionError unless weights are of these labels, numbers of 0 or more, and not all 0."""
    unknown = [name for name in weights if name not in labels]
    if unknown:
        raise OptionError(f"class_weights has unknown labels {', '.join(unknown)}; the labels are {', '.join(labels)}.")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise OptionError(f"class_weights must be numbers of 0 or more; got {weight} for {name}.")
    if weights and not any(weights.get(name, 1.0) for name in labels):
        raise OptionError("class_weights are all 0, so nothing would be learned; give one label a weight above 0.")
