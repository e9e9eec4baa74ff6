"""The head that gives each text a number."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features
from torch import Tensor
from transformers import PreTrainedModel

from nlp_transfer.data.labels import feature_of
from nlp_transfer.data.row_store import slices, stored, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding import NumberDecoder
from nlp_transfer.encoders.precision import Fp32Linear
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.encoders.sklearn_head.classifiers import LINEAR
from nlp_transfer.encoders.sklearn_head.fitting import Fitted, fit_ridge
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.baselines import regression_baselines, texts_of
from nlp_transfer.heads.losses import squared_loss
from nlp_transfer.heads.registry import register_head
from nlp_transfer.heads.task_head import TaskHead, output_layer
from nlp_transfer.heads.text_head import TextHead, are_pairs
from nlp_transfer.metrics import RowCounts, number_counts, regression_scores
from nlp_transfer.system.text import inline_code
from nlp_transfer.types import RegressionPrediction, Scores

log = logging.getLogger(__name__)


@register_head
class RegressionHead(TextHead):
    """A number for each text, in the unit of the data: the network's one output is the number itself.

    A new head starts from the mean and the standard deviation of the training rows, the squared error is divided by
    their variance, and `scale_param_groups` scales the learning rate of the output layer, so that options mean the
    same in every unit. (600 sentences of movie reviews with a score in -4 to 4, MiniLM, 60 steps at 1e-4: a validation
    error of 2.38, and of 2.58 without this.) The output layer computes in fp32 even if the rest computes in bf16,
    whose precision is too low for it.

    >>> head = RegressionHead("stars", mean=3.1, deviation=1.2)
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        name: the name of the number.
        mean, deviation: those of the training rows.
        shape: other arguments of `TextHead`.

    Raises:
        OptionError: a value outside these, or a deviation that is not more than 0.
    """

    task = "regression"
    title = "regression"
    prediction = RegressionPrediction
    best_metric = "mse"
    headline_scores = ("mse", "mae", "pearson", "spearman")
    slice_metric = "mae"
    choice_metric = "pearson"
    report_parts = ("numbers",)
    can_collapse = False
    can_balance = False
    no_confidence = NumberDecoder.no_confidence
    no_probabilities = "this model gives a number"
    problem = "regression"
    problem_type = "regression"

    def __init__(self, name: str = "number", mean: float = 0.0, deviation: float = 1.0, **shape: Any) -> None:
        super().__init__([name], **shape)
        self.mean = mean
        self.deviation = deviation
        self.loss_unit = deviation**2
        if not 0 < deviation < np.inf:
            raise OptionError(f"deviation must be more than 0; got {deviation}.")

    @classmethod
    def for_splits(cls, splits: Splits, **options: Any) -> RegressionHead:
        """The head for the numbers in `splits.train`, named as their column. OptionError for an option of labels."""
        for name, default in _OF_LABELS.items():
            if options.pop(name, default) not in (default, None):
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
        path, layer = output_layer(network)
        network.set_submodule(path, Fp32Linear.sharing(layer))

    def scale_param_groups(self, network: PreTrainedModel, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The output layer's learning rate times `deviation`, with the same decay of its weights in a step.

        The size of Adam's steps depends on the learning rate, not on that of the gradient. So the steps are those of
        standardised numbers, and yet the network's output is in the unit of the data.
        """
        own = {id(p) for p in output_layer(network)[1].parameters()}
        scaled = []
        for group in groups:
            lr, decay = group["lr"] * self.deviation, group["weight_decay"] / self.deviation
            scaled.append(group | {"params": [p for p in group["params"] if id(p) not in own]})
            layer = [p for p in group["params"] if id(p) in own]
            scaled.append(group | {"params": layer, "lr": lr, "weight_decay": decay})
        return [group for group in scaled if group["params"]]

    def targets(self, references: Sequence[float]) -> list[list[float]]:
        return [[float(number)] for number in references]

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return squared_loss(logits[:, 0], labels.to(logits.dtype)) / self.deviation**2

    def plain_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return squared_loss(logits[:, 0], labels)

    def decoder(self) -> NumberDecoder:
        return NumberDecoder(**self.decoding_options())

    def score(self, predictions: Sequence[RegressionPrediction], references: Sequence[float]) -> Scores:
        return regression_scores([p.value for p in predictions], references)

    def counts(self, predictions: Sequence[RegressionPrediction], references: Sequence[float]) -> RowCounts:
        return number_counts([p.value for p in predictions], references)

    def baselines(self, train: Dataset, others: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        texts = [text for rows in others for text in texts_of(rows)]
        numbers = regression_baselines(texts_of(train), list(values(train, "label")), texts, seed)
        return {name: [RegressionPrediction(number) for number in of_rows] for name, of_rows in numbers.items()}

    def agreement(self, predictions: Sequence[RegressionPrediction], others: Sequence[RegressionPrediction]) -> str:
        most = max(abs(a.value - b.value) for a, b in zip(predictions, others, strict=True))
        return f"moves the numbers of the first {len(others)} rows by {most:.2g} at most"

    def on_share(self, everything: Rows, share: Rows) -> TaskHead:
        if len(share.data) == len(everything.data):
            return type(self)(**self.options())
        numbers = np.fromiter(values(share.data, "label"), np.float64)
        deviation = float(numbers.std()) or self.deviation  # that of a single number is 0
        return type(self)(**self.options() | {"mean": float(numbers.mean()), "deviation": deviation})

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The default alone, which ridge regression replaces."""
        return LINEAR[:1]

    def require_features(self, classifier: str, strategy: str = "features") -> None:
        super().require_features(classifier, strategy)
        if classifier not in self.classifiers:
            raise OptionError(
                f"--classifier {classifier} is for labels; leave it out: numbers are fitted by ridge regression."
            )

    @property
    def described(self) -> Mapping[str, tuple[int, ...]]:
        return {}

    def fit_classifier(
        self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int
    ) -> Fitted | tuple[np.ndarray, np.ndarray]:
        log.info("Fitting the numbers by ridge regression.")
        return fit_ridge(features, labels)

    def read_scores(self, rows: Rows) -> tuple[Rows, str]:
        features = rows.data.features.copy() | {"label": feature_of("regression")}
        numbers = (columns | {"label": list(map(float, columns["label"]))} for columns in slices(rows.data))
        return replace(rows, data=stored(numbers, Features(features))), ", as numbers"

    def describe(self) -> list[str]:
        return [f"It gives each text a number, {inline_code(self.labels.names[0])}."]

    def describe_calibration(self) -> list[str]:
        return []


_OF_LABELS: dict[str, Any] = {
    "label_smoothing": 0.0,
    "class_weights": "none",
    "loss": "cross_entropy",
    "levels": [],
    "level_edges": [],
}
"""Options for labels alone, with their defaults."""
