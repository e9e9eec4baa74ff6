"""A number for a text, or for a pair of texts: how alike they are, how many stars it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from nlp_transfer.data.row_store import values
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.precision import Fp32Linear
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.losses import squared_loss
from nlp_transfer.heads.task_head import Columns, output_layer
from nlp_transfer.heads.text_head import TextHead, are_pairs
from nlp_transfer.types import RegressionPrediction, Scores

if TYPE_CHECKING:
    from nlp_transfer.metrics import RowCounts


class RegressionHead(TextHead):
    """A number for each text, in the unit of the data: the network's one output is the number itself.

    A new head starts from the mean of the training rows, and its output is as spread as theirs are; the squared error
    is divided by their variance, and `scale_param_groups` sets the rate of the output layer, so that options mean the
    same in every unit. (600 sentences of movie reviews with a score in -4 to 4, MiniLM, 60 steps at 1e-4: a validation
    error of 2.38, and of 2.58 without all that.) The output layer computes in fp32 also where the rest computes in
    bf16, whose numbers are coarse.

    >>> head = RegressionHead("stars", mean=3.1, deviation=1.2)
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        name: what the number is.
        mean, deviation: those of the training rows.
        shape: what `TextHead` takes.

    Raises:
        OptionError: a value outside what is said there, or a deviation that is not more than 0.
    """

    task = "regression"
    best_metric = "mse"
    no_certainty = "this model gives a number, of which it tells no doubt"
    problem_type = "regression"

    def __init__(self, name: str = "number", mean: float = 0.0, deviation: float = 1.0, **shape: Any) -> None:
        super().__init__([name], **shape)
        self.mean = mean
        self.deviation = deviation
        if not 0 < deviation < np.inf:
            raise OptionError(f"deviation must be more than 0; given was {deviation}.")

    @classmethod
    def for_splits(cls, splits: Splits, **options: Any) -> RegressionHead:
        """The head for the numbers in `splits.train`, named as their column. OptionError for what labels alone have."""
        for name, idle in _OF_LABELS.items():
            if options.pop(name, idle) not in (idle, None):
                raise OptionError(f"--{name} is for labels; leave it out where a number is learned.")
        options.pop("focal_gamma", None)
        numbers = np.fromiter(values(splits.train.data, "label"), np.float64)
        name = splits.train.columns["label"]
        return cls(name, float(numbers.mean()), float(numbers.std()), pairs=are_pairs(splits), **options)

    def options(self) -> dict[str, Any]:
        shape = super().options()
        return {"name": shape.pop("labels")[0], "mean": self.mean, "deviation": self.deviation} | shape

    def build(self, checkpoint: Checkpoint) -> Loaded:
        loaded = super().build(checkpoint)
        self.adjust(loaded.network)
        _, layer = output_layer(loaded.network)
        with torch.no_grad():
            layer.weight.mul_(self.deviation)
            layer.bias.fill_(self.mean)
        return loaded

    def adjust(self, network: PreTrainedModel) -> None:
        super().adjust(network)
        output_layer(network)[1].__class__ = Fp32Linear

    def scale_param_groups(self, network: PreTrainedModel, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The output layer learns at `deviation` times the rate, and decays as before.

        Adam's steps have the size of the rate, whatever the gradient's. So each is what it would be, were the numbers
        standardised, without a network that says standardised numbers.
        """
        own = {id(p) for p in output_layer(network)[1].parameters()}
        found = []
        for group in groups:
            rate, decay = group["lr"] * self.deviation, group["weight_decay"] / self.deviation
            found.append(group | {"params": [p for p in group["params"] if id(p) not in own]})
            layer = [p for p in group["params"] if id(p) in own]
            found.append(group | {"params": layer, "lr": rate, "weight_decay": decay})
        return [group for group in found if group["params"]]

    def targets(self, references: Sequence[float]) -> list[list[float]]:
        return [[float(number)] for number in references]

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return squared_loss(logits[:, 0], labels.to(logits.dtype)) / self.deviation**2

    def plain_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return squared_loss(logits[:, 0], labels)

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[RegressionPrediction]:
        return [RegressionPrediction(float(number)) for number in self.logits_of_rows(outputs)[:, 0]]

    def score(self, predictions: Sequence[RegressionPrediction], references: Sequence[float]) -> Scores:
        from nlp_transfer.metrics import regression_scores  # loads evaluate, which takes a second

        return regression_scores([p.value for p in predictions], references)

    def counts(self, predictions: Sequence[RegressionPrediction], references: Sequence[float]) -> RowCounts:
        from nlp_transfer.metrics import number_counts

        return number_counts([p.value for p in predictions], references)


_OF_LABELS: dict[str, Any] = {
    "label_smoothing": 0.0,
    "class_weights": "none",
    "loss": "cross_entropy",
    "levels": [],
    "level_edges": [],
}
"""Options that have a meaning for labels alone, and what they are where they are not given."""
