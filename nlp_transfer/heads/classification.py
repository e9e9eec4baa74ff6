"""The head that gives each text one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor

from nlp_transfer.config import DataOptions
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.load import load_splits
from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding import LabelDecoder
from nlp_transfer.encoders.sklearn_head.classifiers import CLASSIFIERS
from nlp_transfer.encoders.sklearn_head.fitting import Fitted, fit_layer
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.baselines import classification_baselines, texts_of
from nlp_transfer.heads.losses import (
    CLASS_WEIGHTS,
    class_weights,
    in_order,
    label_frequencies,
    recomputed_weights,
    require_loss,
    require_weights,
    softmax_loss,
    with_label_frequencies,
)
from nlp_transfer.heads.registry import register_head, text_head_for
from nlp_transfer.heads.task_head import IGNORED, Columns, TaskHead, require_temperature
from nlp_transfer.heads.text_head import TextHead, are_pairs
from nlp_transfer.metrics import RowCounts, classification_scores, label_counts
from nlp_transfer.metrics.temperature import fitted_temperature
from nlp_transfer.types import AnyPrediction, LabelSet, Prediction, Scores


@register_head
class TextClassificationHead(TextHead):
    """One of several labels for each text.

    After training, `tune` fits a temperature to the validation rows: logits are divided by it before the softmax, so
    that of the texts with a probability of 0.8 about 80% have that label.

    >>> head = TextClassificationHead(["complaint", "praise"], pooling="mean", hidden=(512,))
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        labels: their names; the order gives their ids.
        pooling, hidden, dropout: as in `TextHead`.
        label_smoothing: share of each target spread evenly over all labels (Szegedy et al. 2016), in [0, 1).
        class_weights: a factor on the loss of each label, by name; by default 1.
        loss: `cross_entropy`, `focal` or `logit_adjusted` (`losses.softmax_loss`).
        focal_gamma: the exponent of focal loss, which down-weights rows that are easy.
        priors: the share of rows that each label has, by name, which `logit_adjusted` needs.
        temperature: the divisor of the logits; None where it was not fitted.
        shape: other arguments of `TextHead`.

    Raises:
        OptionError: a value outside these.
    """

    task = "classification"
    title = "classification"
    prediction: ClassVar[type[AnyPrediction]] = Prediction
    best_metric = "accuracy"
    headline_scores: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    slice_metric = "accuracy"
    choice_metric = "accuracy"
    report_parts = ("labels",)
    problem = "single_label"
    problem_type = "single_label_classification"
    is_tuned = True

    def __init__(
        self,
        labels: Sequence[str] | LabelSet,
        pooling: str | None = None,
        hidden: Sequence[int] = (),
        dropout: float | None = None,
        label_smoothing: float = 0.0,
        class_weights: Mapping[str, float] | None = None,
        loss: str = "cross_entropy",
        focal_gamma: float = 2.0,
        priors: Mapping[str, float] | None = None,
        temperature: float | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(labels, pooling, hidden, dropout, **shape)
        self.label_smoothing = label_smoothing
        self.class_weights = dict(class_weights or {})
        self.loss_name = loss
        self.focal_gamma = focal_gamma
        self.priors = dict(priors or {})
        self.temperature = temperature
        self._validate()

    @classmethod
    def for_splits(cls, splits: Splits, **options: Any) -> TextClassificationHead:
        """The head for the labels in `splits.train`, in alphabetical order.

        `class_weights` may be the name of a scheme (`losses.class_weights`).
        """
        counts = Counter(values(splits.train.data, "label"))
        return cls(sorted(counts), pairs=are_pairs(splits), **with_label_frequencies(counts, options))

    @classmethod
    def load_task(cls, data: DataOptions, options: Any, seed: int = 0) -> tuple[Splits, TaskHead]:
        """The splits, and this head, or the head for several labels or numbers where the rows hold these."""
        splits = load_splits(data, cls.reads, seed)
        if problem_of(splits.train.data) == cls.problem:
            return splits, cls.for_splits(splits, **vars(options))
        return splits, text_head_for(splits, **vars(options))

    def options(self) -> dict[str, Any]:
        return super().options() | {
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
            "loss": self.loss_name,
            "focal_gamma": self.focal_gamma,
            "priors": self.priors,
            "temperature": self.temperature,
        }

    def targets(self, references: Sequence[str]) -> list[list[int]]:
        return [[self.labels.id(label)] for label in references]

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return softmax_loss(
            logits,
            labels,
            weights=in_order(self.class_weights, self.labels.names, logits),
            smoothing=self.label_smoothing,
            priors=in_order(self.priors, self.labels.names, logits) if self.loss_name == "logit_adjusted" else None,
            gamma=self.focal_gamma if self.loss_name == "focal" else None,
        )

    def plain_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")

    def decoder(self) -> LabelDecoder:
        return LabelDecoder(**self.decoding_options(), temperature=self.temperature)

    def tune(self, outputs: Sequence[np.ndarray], rows: Columns) -> None:
        """Fit the temperature to these rows, if there are enough of them."""
        answers = np.array([items[0] for items in self.targets(self.references(rows))])
        self.temperature = fitted_temperature(self.logits_of_rows(outputs), answers, "rows")

    def calibration(self) -> dict[str, Any]:
        return {"temperature": self.temperature} if self.temperature else {}

    def forget_calibration(self) -> None:
        self.temperature = None

    def score(self, predictions: Sequence[Prediction], references: Sequence[str]) -> Scores:
        return classification_scores([p.label for p in predictions], references, self.labels.names)

    def counts(self, predictions: Sequence[Prediction], references: Sequence[str]) -> RowCounts:
        return label_counts([p.label for p in predictions], references, self.labels.names)

    def baselines(self, train: Dataset, others: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        texts = [text for rows in others for text in texts_of(rows)]
        labels = classification_baselines(texts_of(train), list(values(train, "label")), texts, seed)
        return {name: [Prediction(label, 1.0, {}) for label in names] for name, names in labels.items()}

    def on_share(self, everything: Rows, share: Rows) -> TaskHead:
        before, now = (label_frequencies(self.labels, rows.data) for rows in (everything, share))
        schemes = [(class_weights(scheme, before), class_weights(scheme, now)) for scheme in CLASS_WEIGHTS]
        options = self.options() | {"class_weights": recomputed_weights(self.class_weights, schemes)}
        if self.priors:
            options["priors"] = {name: count / sum(now.values()) for name, count in now.items()}
        return type(self)(**options)

    def step_options(self) -> dict[str, bool]:
        is_other_loss = self.loss_name != "cross_entropy"
        return super().step_options() | {"label_smoothing": bool(self.label_smoothing), "loss": is_other_loss}

    @property
    def classifiers(self) -> tuple[str, ...]:
        return CLASSIFIERS

    def fit_classifier(
        self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int
    ) -> Fitted | tuple[np.ndarray, np.ndarray]:
        weights = {self.labels.id(name): weight for name, weight in self.class_weights.items()}
        return fit_layer(classifier, features, labels, len(self.labels), seed, weights)

    def _validate(self) -> None:
        if len(self.labels) < 2:
            raise OptionError(f"a classifier needs two labels or more; got {list(self.labels)}.")
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(f"label_smoothing must lie in [0, 1); got {self.label_smoothing}.")
        require_loss(self.loss_name, self.focal_gamma)
        if self.loss_name == "focal" and self.label_smoothing:
            raise OptionError("--loss focal and --label_smoothing cannot be combined; give one of them.")
        if self.loss_name == "logit_adjusted" and set(self.priors) != set(self.labels):
            raise OptionError("--loss logit_adjusted needs the share of every label; give priors={name: share}.")
        require_weights(self.class_weights, self.labels.names)
        require_temperature(self.temperature)
