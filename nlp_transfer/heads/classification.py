"""One label for a text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from nlp_transfer.data.splits import Splits
from nlp_transfer.data.store import values
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.base import IGNORED, Columns, TaskHead, label_options, label_set, softmax
from nlp_transfer.pooling.config import POOLINGS, PooledConfig
from nlp_transfer.pooling.network import PooledClassifier
from nlp_transfer.pretrained import Checkpoint, Loaded
from nlp_transfer.types import LabelSet, Prediction, Scores


class TextClassificationHead(TaskHead):
    """One of several labels for each text.

    >>> head = TextClassificationHead(["complaint", "praise"], pooling="mean", hidden=(512,))
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        labels: their names; the order gives their ids.
        pooling: `native` is the head that transformers gives the encoder's family, so the saved folder needs nothing
            of ours. `cls`, `mean` (global average pooling over real tokens) and `max` make a network of ours.
        hidden: units of dense layers with ReLU before the softmax layer. With `native`, they stand on the first token.
        dropout: before every layer of the head; None keeps the family's own (0.1 for a network of ours).
        label_smoothing: share of each target spread evenly over all labels (Szegedy et al. 2016), in [0, 1).
        class_weights: a factor on the loss of each label, by name; a label not named has 1.

    Raises:
        OptionError: a value outside what is said above.
    """

    task = "classification"
    best_metric = "accuracy"

    def __init__(
        self,
        labels: Sequence[str] | LabelSet,
        pooling: str = "native",
        hidden: Sequence[int] = (),
        dropout: float | None = None,
        label_smoothing: float = 0.0,
        class_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.labels = label_set(labels)
        self.pooling = pooling
        self.hidden = tuple(hidden)
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.class_weights = dict(class_weights or {})
        self._require_sense()

    @classmethod
    def for_splits(cls, splits: Splits, **options: Any) -> TextClassificationHead:
        """The head for the labels in `splits.train`, in alphabetical order."""
        return cls(sorted(set(values(splits.train.data, "label"))), **options)

    def options(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "pooling": self.pooling,
            "hidden": list(self.hidden),
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
        }

    @property
    def is_native(self) -> bool:
        """Whether the network is a stock `AutoModelForSequenceClassification`."""
        return self.pooling == "native" and not self.hidden

    def build(self, checkpoint: Checkpoint) -> Loaded:
        if self.is_native:
            loaded = checkpoint.load(
                AutoModelForSequenceClassification,
                problem_type="single_label_classification",
                **label_options(self.labels),
            )
            self.adjust(loaded.network)
            return loaded
        encoder = checkpoint.load(AutoModel)
        config = PooledConfig(
            encoder_config=encoder.network.config.to_dict(),
            pooling="cls" if self.pooling == "native" else self.pooling,
            hidden=list(self.hidden),
            dropout=0.1 if self.dropout is None else self.dropout,
            problem_type="single_label_classification",
            **label_options(self.labels),
        )
        network = PooledClassifier(config, encoder.network)
        new = {name for name, _ in network.named_parameters() if not name.startswith("backbone.")}
        kept = {f"backbone.{name}" for name in encoder.new} & {name for name, _ in network.named_parameters()}
        return Loaded(network, frozenset(new | kept), encoder.dropped)

    def adjust(self, network: PreTrainedModel) -> None:
        if self.is_native and self.dropout is not None:
            _set_head_dropout(network, self.dropout)

    def encode(self, rows: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
        encoded = tokenizer(
            list(rows["text"]),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        features: dict[str, list[Any]] = {"input_ids": encoded["input_ids"], "row": list(range(len(rows["text"])))}
        if "label" in rows:
            features["labels"] = [ids[0] for ids in self.targets(rows["label"])]
        return features

    def targets(self, references: Sequence[str]) -> list[list[int]]:
        return [[self.labels.id(label)] for label in references]

    def outputs(self, logits: Tensor, features: Columns) -> list[np.ndarray]:
        return list(logits.float().cpu().numpy()[:, None, :])

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = logits.new_tensor([self.class_weights.get(name, 1.0) for name in self.labels]).float()
        return F.cross_entropy(
            logits.float(),
            labels,
            weight=weights if self.class_weights else None,
            label_smoothing=self.label_smoothing,
            ignore_index=IGNORED,
            reduction="sum",
        )

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[Prediction]:
        return [self._prediction(probabilities) for probabilities in softmax(np.concatenate(list(outputs)))]

    def _prediction(self, probabilities: np.ndarray) -> Prediction:
        best = int(probabilities.argmax())
        named = {name: float(p) for name, p in zip(self.labels, probabilities, strict=True)}
        return Prediction(self.labels.names[best], float(probabilities[best]), named)

    def references(self, rows: Columns) -> list[str]:
        return list(rows["label"])

    def score(self, predictions: Sequence[Prediction], references: Sequence[str]) -> Scores:
        from nlp_transfer.metrics import classification_scores  # loads evaluate, which takes a second

        return classification_scores([p.label for p in predictions], references, self.labels.names)

    def _require_sense(self) -> None:
        if len(self.labels) < 2:
            raise OptionError(f"a classifier needs two labels or more; it was given {list(self.labels)}.")
        if self.pooling not in ("native", *POOLINGS):
            raise OptionError(f"unknown pooling '{self.pooling}'; known are native, {', '.join(POOLINGS)}.")
        if any(units < 1 for units in self.hidden):
            raise OptionError(f"hidden layers need at least one unit each; given were {list(self.hidden)}.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise OptionError(f"dropout must lie in [0, 1); given was {self.dropout}.")
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(f"label_smoothing must lie in [0, 1); given was {self.label_smoothing}.")
        unknown = [name for name in self.class_weights if name not in self.labels]
        if unknown:
            raise OptionError(f"class_weights names labels there are not: {', '.join(unknown)}.")
        for name, weight in self.class_weights.items():
            if not 0 <= weight < math.inf:
                raise OptionError(f"class_weights must be numbers of 0 or more; that of {name} is {weight}.")
        if self.class_weights and not any(self.class_weights.get(name, 1.0) for name in self.labels):
            raise OptionError("class_weights are all 0, so nothing would be learned; give one label more.")


def _set_head_dropout(network: PreTrainedModel, dropout: float) -> None:
    """Set the dropout of a stock head, whatever its family calls it in the config."""
    encoder = set(network.base_model.modules())
    drops = [module for module in network.modules() if isinstance(module, nn.Dropout) and module not in encoder]
    if not drops:
        raise OptionError(
            f"the native head of {network.config.model_type} has no dropout to set; choose --pooling mean."
        )
    for module in drops:
        module.p = dropout
