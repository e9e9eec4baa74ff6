"""Loss functions, and the weights that make up for rare labels.

Each loss is summed over rows, and rows labelled `IGNORED`, or NaN where labels are numbers, count nothing.
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
    as if all were as frequent. With `gamma`, (1 - p)^gamma times the cross-entropy, where p is the probability of the
    right label (focal loss; Lin et al. 2017, "Focal loss for dense object detection", equations 4 and 5).
    """
    if priors is not None:
        logits = logits + priors.log()
    if gamma is None:
        return F.cross_entropy(
            logits, labels, weight=weights, label_smoothing=smoothing, ignore_index=IGNORED, reduction="sum"
        )
    log_likely = -F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    cost = -((1 - log_likely.exp()).clamp(min=_LEAST) ** gamma) * log_likely
    if weights is not None:
        cost = cost * weights[labels.clamp(min=0)]
    return torch.where(labels == IGNORED, torch.zeros_like(cost), cost).sum()


def sigmoid_loss(
    logits: Tensor, labels: Tensor, *, positive_weights: Tensor | None = None, gamma: float | None = None
) -> Tensor:
    """The loss of several labels a row, the mean over the labels: `logits` and `labels` `(rows, labels)` of 0 and 1.

    Binary cross-entropy, that of labels which are there times `positive_weights` `(labels,)`; with `gamma` the focal
    loss, as Lin et al. 2017 have it.
    """
    ignored = labels.isnan()
    labels = labels.masked_fill(ignored, 0.0)
    cost = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=positive_weights, reduction="none")
    if gamma is not None:
        likely = torch.where(labels > 0.5, logits, -logits).sigmoid()
        cost = cost * (1 - likely).clamp(min=_LEAST) ** gamma
    return cost.masked_fill(ignored, 0.0).mean(dim=1).sum()


def squared_loss(values: Tensor, labels: Tensor) -> Tensor:
    """The squared error of a number a row, `(rows,)` both."""
    # A NaN is replaced before anything is computed of it: masked afterwards, it would still be in the gradient.
    return (values - torch.where(labels.isnan(), values.detach(), labels)).square().sum()


def class_weights(how: str, counts: Mapping[str, int]) -> dict[str, float]:
    """The factor on the loss of each label, of so many rows each; they are 1 for labels that are as frequent.

    `balanced` is rows / (labels * count): all labels together weigh the same (King and Zeng 2001, "Logistic regression
    in rare events data"). `effective_number` is (1 - BETA) / (1 - BETA^count), scaled so that the weights sum to the
    number of labels (Cui et al. 2019, "Class-balanced loss based on effective number of samples", section 3.3).
    """
    if how == "none":
        return {}
    if how == "balanced":
        return {name: sum(counts.values()) / (len(counts) * count) for name, count in counts.items()}
    weights = {name: 1 / _effective(count) for name, count in counts.items()}
    return {name: len(counts) * weight / sum(weights.values()) for name, weight in weights.items()}


def positive_weights(how: str, counts: Mapping[str, int], rows: int) -> dict[str, float]:
    """The factor on the loss of each label where it is there, which it is in `counts` out of `rows`.

    As in `class_weights`, of the two labels "there" and "not there": with `balanced` the rows without it for each one
    that has it, with `effective_number` the same of effective numbers.
    """
    if how == "none":
        return {}
    if how == "balanced":
        return {name: max(rows - count, 1) / count for name, count in counts.items()}
    return {name: _effective(max(rows - count, 1)) / _effective(count) for name, count in counts.items()}


def evened_out(counts: Mapping[str, int], options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` of a head for one label a row, with what they need to know of how many rows each label has.

    `class_weights` given as the name of a way are computed, and `logit_adjusted` gets the shares of the labels. Raises
    OptionError for both at once: each by itself makes rare labels as likely as others. (Weights by label, which may say
    what an error costs, go with either loss.)
    """
    weights = options.get("class_weights")
    if isinstance(weights, str):
        require_way(weights)
        if weights != "none" and options.get("loss") == "logit_adjusted":
            raise OptionError(
                f"--class_weights {weights} and --loss logit_adjusted would make up for rare labels twice; give one of "
                "them."
            )
        weights = class_weights(weights, counts)
    told: dict[str, Any] = {"class_weights": weights}
    if options.get("loss") == "logit_adjusted":
        told["priors"] = {name: count / sum(counts.values()) for name, count in counts.items()}
    return {**options, **told}


def label_frequencies(labels: Iterable[str], rows: Dataset) -> dict[str, int]:
    """How many rows have each label, or it among theirs, and one where none has it."""
    counts: Counter[str] = Counter()
    for label in values(rows, "label"):
        counts.update([label] if isinstance(label, str) else label)
    return {name: max(counts[name], 1) for name in labels}


def weights_again(
    given: Mapping[str, float], ways: Iterable[tuple[Mapping[str, float], Mapping[str, float]]]
) -> Mapping[str, float]:
    """Weights of a share of the rows, in the way that gave the weights of all; weights that a user gave stay.

    `ways` are, for each way to weigh labels, the weights of all rows and of the share.
    """
    for before, now in ways:
        if before and before.keys() == given.keys() and all(math.isclose(before[n], given[n]) for n in before):
            return now
    return given


def in_order(by_name: Mapping[str, float], names: Sequence[str], like: Tensor) -> Tensor | None:
    """Values by label name as a tensor in the order of `names`, 1 for those not named; None where none is."""
    return like.new_tensor([by_name.get(name, 1.0) for name in names]) if by_name else None


def _effective(count: int) -> float:
    return (1 - BETA**count) / (1 - BETA)


def require_loss(name: str, gamma: float, known: Sequence[str] = LOSSES) -> None:
    """OptionError unless there is such a loss."""
    if name not in known:
        raise OptionError(f"--loss {name}: known here are {', '.join(known)}.")
    if not 0 <= gamma < math.inf:
        raise OptionError(f"--focal_gamma must be 0 or more; given was {gamma}.")


def require_way(how: str) -> None:
    """OptionError unless class weights can be computed so."""
    if how not in CLASS_WEIGHTS:
        raise OptionError(f"--class_weights {how}: known are {', '.join(CLASS_WEIGHTS)}.")


def require_weights(weights: Mapping[str, float], labels: Sequence[str]) -> None:
    """OptionError unless weights are of these labels, numbers of 0 or more, and not all 0."""
    unknown = [name for name in weights if name not in labels]
    if unknown:
        raise OptionError(f"class_weights names labels there are not: {', '.join(unknown)}.")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise OptionError(f"class_weights must be numbers of 0 or more; that of {name} is {weight}.")
    if weights and not any(weights.get(name, 1.0) for name in labels):
        raise OptionError("class_weights are all 0, so nothing would be learned; give one label more.")
