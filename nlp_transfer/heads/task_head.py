"""What is a task: its labels, its network, its targets, its predictions, its scores?"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nlp_transfer.data.batch import IGNORED
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.errors import OptionError
from nlp_transfer.types import LabelSet, Scores

if TYPE_CHECKING:
    from typing_extensions import Self

    from nlp_transfer.metrics import RowCounts

Columns = Mapping[str, Sequence[Any]]
"""A batch of rows or features by column: {"text": [...], "label": [...]}."""


class TaskHead(ABC):
    """A task. Rows go in as text, logits come back as predictions; the network between them is the encoder's.

    The subclasses share the order of their methods: build, adjust, encode, targets, outputs, loss, decode, references,
    tune, calibration, score, counts.
    """

    task: ClassVar[str]
    best_metric: ClassVar[str]
    """The score that says which epoch was best, unless the user names another."""

    is_tuned: ClassVar[bool] = False
    """Whether `tune` does anything, so that the best weights have to say their logits of the validation rows."""

    no_certainty: ClassVar[str | None] = None
    """Why a prediction has no one certainty, where it has none."""

    labels: LabelSet

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain JSON values: `type(head)(**head.options())` is the same head."""

    @abstractmethod
    def build(self, checkpoint: Checkpoint) -> Loaded:
        """Load the encoder's weights into a network with this head on top."""

    def adjust(self, network: PreTrainedModel) -> None:  # noqa: B027
        """Set in a loaded network the options that its config has no place for; most heads have none."""

    @abstractmethod
    def encode(self, rows: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
        """Token ids of rows, as columns: `input_ids`, `row` (which of `rows` it is of) and what `outputs` needs.

        One row may give several features (windows of a long text); `labels` is there if the rows have their answers.
        """

    def account(self, rows: Columns, features: Columns) -> Mapping[str, int]:
        """What became of rows in `encode`, in numbers that are summed up and told; most heads have nothing to tell."""
        return {}

    @abstractmethod
    def outputs(self, logits: Tensor, features: Columns) -> list[np.ndarray]:
        """Logits of the items that are predicted, `(items, labels)` for each feature of a batch."""

    def loss(self, logits: Tensor, labels: Tensor, count: int | float) -> Tensor:
        """Cross-entropy summed over the batch and divided by `count`, the labelled items of the whole step.

        Summing here and dividing by a count that spans all micro-batches and processes makes accumulation and the
        number of processes change nothing. `logits` is `(..., labels)`, `labels` is `(...)`.
        """
        return self.summed_loss(logits.flatten(0, -2), labels.flatten()) / count

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over the items of `logits`, `(items, labels)`; `IGNORED` ones count nothing."""
        return F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")

    @abstractmethod
    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[Any]:
        """A prediction for each row from its logits, `(items, labels)`."""

    @abstractmethod
    def references(self, rows: Columns) -> list[Any]:
        """The right answers of rows, in the form that `score` compares."""

    @abstractmethod
    def targets(self, references: Sequence[Any]) -> list[list[Any]]:
        """What the network is to learn of each row's items: a label id, or numbers."""

    def scale_param_groups(self, network: PreTrainedModel, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Groups of an optimizer, at the rates that suit the unit of the network's outputs; logits have none."""
        return groups

    def tune(self, outputs: Sequence[np.ndarray], rows: Columns) -> None:  # noqa: B027
        """Fit what is decided after training to the logits of validation rows; most heads have nothing to decide."""

    def calibration(self) -> dict[str, Any]:
        """What `tune` has fitted for probabilities to mean what they say, as plain JSON values; empty where nothing."""
        return {}

    def forget_calibration(self) -> None:  # noqa: B027
        """From now on probabilities are those of the logits as they are; most heads know no others."""

    def uncalibrated(self) -> Self:
        """The same head, whose probabilities are those of the logits as they are."""
        plain = copy.copy(self)
        plain.forget_calibration()
        return plain

    def require_certainty(self) -> None:
        """Raise OptionError where predictions have no one certainty, below which nothing could be said."""
        if self.no_certainty:
            raise OptionError(f"--abstain_below is for classifiers; {self.no_certainty}.")

    @abstractmethod
    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        """Scores by plain name."""

    @abstractmethod
    def counts(self, predictions: Sequence[Any], references: Sequence[Any]) -> RowCounts:
        """What each row adds to these scores; `metrics.interval` and `metrics.difference` tell how sure they are."""

    def evaluate(self, outputs: Sequence[np.ndarray], rows: Columns) -> Scores:
        """Scores of logits against the rows' answers, and `loss`, the mean cross-entropy of an item in nats."""
        references = self.references(rows)
        logits = torch.from_numpy(np.concatenate(list(outputs)))
        labels = torch.tensor([label for row in self.targets(references) for label in row])
        loss = F.cross_entropy(logits, labels).item()
        return self.score(self.decode(outputs, rows), references) | {"loss": loss}


def softmax(logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
    """Probabilities of logits `(items, labels)` at a temperature, 1 unless given; computed in float64."""
    scaled = logits.astype(np.float64) / (temperature or 1.0)
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def require_temperature(temperature: float | None) -> None:
    """Raise OptionError for what logits cannot be divided by."""
    if temperature is not None and not 0 < temperature < np.inf:
        raise OptionError(f"temperature must be more than 0; given was {temperature}.")


def label_set(names: Iterable[str]) -> LabelSet:
    """Names that a user gave as labels. Raises OptionError if one of them repeats."""
    try:
        return LabelSet(names)
    except ValueError as error:
        raise OptionError(f"{error}; name each once.") from error


def label_options(labels: LabelSet) -> dict[str, Any]:
    """What `from_pretrained` is told of the labels, so that every other tool sees their names."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: i for i, name in enumerate(labels.names)},
    }


def output_layer(network: PreTrainedModel) -> tuple[str, nn.Linear]:
    """The last linear layer outside of the encoder, which gives the logits, and its path."""
    encoder = set(network.base_model.modules())
    linear = [(p, m) for p, m in network.named_modules() if isinstance(m, nn.Linear) and m not in encoder]
    return linear[-1]
