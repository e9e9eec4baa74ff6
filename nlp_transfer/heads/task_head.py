"""The base class of task heads: what a task declares of itself, and what it does."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nlp_transfer.config import DataOptions
from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.metrics import RowCounts
from nlp_transfer.metrics.metric_registry import registered_metrics, with_registered_counts, with_registered_scores
from nlp_transfer.system.text import inline_code
from nlp_transfer.types import AnyPrediction, LabelSet, Scores

if TYPE_CHECKING:
    from nlp_transfer.encoders.sklearn_head.fitting import Fitted

Columns = Mapping[str, Sequence[Any]]
"""A batch of rows or features by column: {"text": [...], "label": [...]}."""


class TaskHead(ABC):
    """A task. Rows go in as text, logits come back as predictions; the network between them is the encoder's.

    All that differs between tasks is an attribute or a method here, so that nothing else asks which head it holds. The
    subclasses share the order of their methods: build, adjust, encode, targets, outputs, loss, decode, references,
    tune, calibration, score, counts, baselines, record, output_row, describe.
    """

    task: ClassVar[str]
    """The name in the config of a saved model and in `HEADS`."""

    title: ClassVar[str]
    """What a person calls the task."""

    reads: ClassVar[str]
    """How `load_splits` reads files for it: classification, sentiment or ner."""

    recipe: ClassVar[str]
    """The recipe that trains it."""

    labels_words: ClassVar[bool] = False
    """Whether each word of a row has a label, and not the row."""

    auto_class: ClassVar[str]
    """The Auto class of transformers that opens the network."""

    pipeline_tag: ClassVar[str]
    """The pipeline of transformers that runs the network."""

    peft_task: ClassVar[str]
    """PEFT's name of the kind of task."""

    best_metric: ClassVar[str]
    """The score that says which epoch was best, unless the user names another."""

    headline_scores: ClassVar[tuple[str, ...]]
    """The scores that tables show, the main one first."""

    slice_metric: ClassVar[str]
    """The score that a report shows of slices of the rows."""

    choice_metric: ClassVar[str]
    """The score, of which more is better, by which `--strategy auto` chooses."""

    report_parts: ClassVar[tuple[str, ...]] = ()
    """The parts of a report that are of this kind of task, by the names they are registered under."""

    prediction: ClassVar[type[AnyPrediction]]
    """What `decode` gives for each row."""

    report_words: ClassVar[dict[str, str]] = {
        "rows": "rows",
        "label": "label",
        "items": "rows",
        "answers": "labels",
        "calibrated_on": "the validation rows",
        "probabilities": "Of the predicted labels; the Brier score of all.",
    }
    """What a report calls its rows, a label, the items that are right or wrong, what was predicted of them, what
    calibration was fitted to, and what the probabilities are of."""

    answer_name: ClassVar[str] = "label"
    """What a prediction is right or wrong by, in words."""

    is_tuned: ClassVar[bool] = False
    """Whether `tune` does anything, so that the best weights have to give their logits of the validation rows."""

    can_collapse: ClassVar[bool] = True
    """Whether one answer given to all rows is a sign that training has failed."""

    can_balance: ClassVar[bool] = True
    """Whether `--sampling balanced` can draw rows by label."""

    no_confidence: ClassVar[str | None] = None
    """Why a prediction has no confidence estimate, where it has none."""

    no_probabilities: ClassVar[str | None] = None
    """Why there are no probabilities of all labels, where there are none."""

    loss_unit: float = 1.0
    """What the training loss is divided by, beside the loss of the validation rows."""

    pairs: bool = False
    """Whether a row has two texts."""

    long_texts: str | None = None
    """How texts beyond the encoder's length are read, where the user chooses it (`--long_texts`)."""

    task_options: ClassVar[type]
    """The dataclass of options that `load_task` takes."""

    labels: LabelSet

    @classmethod
    @abstractmethod
    def load_task(cls, data: DataOptions, options: Any, seed: int = 0) -> tuple[Splits, TaskHead]:
        """The splits that `data` names and the head for them, as the task's recipe makes them of its `task_options`.

        Raises DataError and OptionError.
        """

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain JSON values: `type(head)(**head.options())` is the same head."""

    @abstractmethod
    def build(self, checkpoint: Checkpoint) -> Loaded:
        """Load the encoder's weights into a network with this head on top."""

    def adjust(self, network: PreTrainedModel) -> None:  # noqa: B027
        """Set in a loaded network the options that its config has no place for; most heads have none."""

    @abstractmethod
    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        """Texts that are to be predicted as columns for `encode`. Raises DataError for what is none."""

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

    def require_confidence(self) -> None:
        """Raise OptionError where predictions have no confidence estimate to abstain by."""
        if self.no_confidence:
            raise OptionError(f"--abstain_below is for classifiers; {self.no_confidence}.")

    @abstractmethod
    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        """Scores by plain name."""

    @abstractmethod
    def counts(self, predictions: Sequence[Any], references: Sequence[Any]) -> RowCounts:
        """What each row adds to these scores; `metrics.interval` and `metrics.difference` tell how sure they are."""

    def all_scores(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        """`score`, and the scores that are registered for the task (`register_metric`)."""
        return with_registered_scores(self.score(predictions, references), self.task, predictions, references)

    def all_counts(self, predictions: Sequence[Any], references: Sequence[Any]) -> RowCounts:
        """`counts`, from which the scores that are registered for the task follow as well."""
        return with_registered_counts(self.counts(predictions, references), self.task, predictions, references)

    @property
    def table_scores(self) -> tuple[str, ...]:
        """The scores that tables show: the headline scores, and those that are registered for the task."""
        return (*self.headline_scores, *registered_metrics(self.task))

    def raw_probabilities(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[np.ndarray]:
        """Probabilities before `calibration` of each row's items, where those after it do not give them; else none."""
        return []

    def baselines(self, train: Dataset, asked: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        """What each baseline, fitted to `train`, predicts of the rows of the data sets in `asked`, in their order."""
        return {}

    def scoring_record(self, row: int, gold: Any, predicted: Any) -> dict[str, Any]:
        """The line of predictions.jsonl of a row, and what else `counts` needs of a prediction."""
        return dict(predicted.record(row, gold))

    def words_tagged(self, predictions: Sequence[Any]) -> tuple[int, int]:
        """How many words of some rows got a label, and how many none; of heads that label rows 0 and 0."""
        return 0, 0

    def agreement(self, predictions: Sequence[Any], others: Sequence[Any]) -> str:
        """What `predictions` have in common with `others`, which were computed in fp32, as the end of a sentence."""
        same, rows = sum(a.answer == b.answer for a, b in zip(predictions, others, strict=True)), len(others)
        return (
            f"gives {same} of the first {rows} rows the {self.answer_name} that fp32 gives ({100 * same / rows:.1f}%)"
        )

    def on_share(self, everything: Rows, share: Rows) -> TaskHead:
        """The head that `share` of the rows that it was made for would give; the labels stay.

        A model that learns from a share is not to know what was computed of the other rows: how frequent labels are, or
        the mean of numbers.
        """
        return type(self)(**self.options())

    def probe_options(self) -> dict[str, Any]:
        """Options that suit a linear probe better than the head's own, where the user has not chosen others."""
        return {}

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The classifiers of scikit-learn that can be fitted for it, those that are tried first in front."""
        return ()

    def require_features(self, classifier: str) -> None:
        """Raise OptionError where a classifier of scikit-learn cannot do what this head does."""
        raise OptionError(
            f"--strategy features fits classifiers of scikit-learn, and none to {self.title}; take --strategy freeze."
        )

    def for_features(self) -> Self:
        """The head as a classifier of scikit-learn on the frozen encoder takes it."""
        return self

    def feature_config(self) -> dict[str, Any]:
        """The options of the network's config that say which features the classifier takes."""
        return {"pooling": "tokens"}

    def fit_classifier(
        self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int
    ) -> Fitted | tuple[np.ndarray, np.ndarray]:
        """Fit a classifier of scikit-learn to `features`, `(items, width)`, and label ids or numbers, `(items, ...)`.

        Gives what was fitted, or of what is linear the weight and the bias of the network's last layer.
        """
        raise NotImplementedError(f"{type(self).__name__} fits no classifier: it has no `classifiers`")

    def shape(self) -> dict[str, Any]:
        """The options that give another head for texts the shape of this one."""
        return {}

    def read_scores(self, rows: Rows) -> tuple[Rows, str]:
        """Rows of a source whose labels are scores, as this head takes them, and how, for the log.

        Raises DataError where it takes labels alone.
        """
        raise DataError(
            f"{rows.source}: column '{rows.columns['label']}' holds scores, not labels; cut them into levels in the "
            f"file, or the target too with --levels and --level_edges, or name another --source_label_column_name."
        )

    def describe(self) -> list[str]:
        """What it gives a text, as lines of the model card."""
        return [f"Labels, in the order of their ids: {', '.join(map(inline_code, self.labels))}."]

    def describe_calibration(self) -> list[str]:
        """What other tools have to do to calibrate probabilities, as lines of the model card."""
        if not self.calibration():
            return ["Probabilities are what these weights give as they are: they are not calibrated."]
        return [
            "Probabilities of `nlp_transfer.TransferModel.predict` are calibrated on the validation rows; those of",
            "other tools, `transformers.pipeline` among them, are not: they are what these weights give as they are,",
            f"with the same labels. {self._calibration_formula()}",
        ]

    def _calibration_formula(self) -> str:
        return f"Divide logits by {self.calibration()['temperature']:.4f} to calibrate them."

    def describe_long_texts(self, max_length: int) -> list[str]:
        """What becomes of texts of more than `max_length` tokens, as lines of the model card."""
        return [
            f"Texts of more than {max_length} tokens are read in overlapping windows by nlp_transfer:",
            '`nlp_transfer.TransferModel.load("model").predict(["Some text."])`.',
        ]

    pipeline_options: ClassVar[str] = ""
    """Further arguments of `transformers.pipeline`, as they are written in the model card."""

    def pipeline_call(self) -> str:
        """How the model card asks the pipeline `ask`."""
        return 'ask("Some text.")'

    def evaluate(self, outputs: Sequence[np.ndarray], rows: Columns) -> Scores:
        """Scores of logits against the rows' answers, and `loss`, the mean cross-entropy of an item in nats."""
        references = self.references(rows)
        logits = torch.from_numpy(np.concatenate(list(outputs)))
        labels = torch.tensor([label for row in self.targets(references) for label in row])
        loss = F.cross_entropy(logits, labels).item()
        return self.all_scores(self.decode(outputs, rows), references) | {"loss": loss}


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
