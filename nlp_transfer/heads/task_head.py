"""The base class of task heads: the traits that a task declares, and its methods."""

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
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding import Decoder
from nlp_transfer.decoding.probabilities import softmax as softmax  # outside heads may import it from here
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.heads.span_pipeline import SpanPipeline
from nlp_transfer.metrics import RowCounts
from nlp_transfer.metrics.metric_registry import registered_metrics, with_registered_counts, with_registered_scores
from nlp_transfer.system.text import inline_code
from nlp_transfer.types import AnyPrediction, LabelSet, Scores

if TYPE_CHECKING:
    from nlp_transfer.encoders.sklearn_head.fitting import Fitted

Columns = Mapping[str, Sequence[Any]]
"""A batch of rows or features by column: {"text": [...], "label": [...]}."""


class TaskHead(ABC):
    """A task: rows become targets and token ids, logits become predictions. It owns no weights.

    All that differs between tasks is an attribute or a method here, so that nothing else asks which head it holds. The
    subclasses share the order of their methods: build, adjust, encode, targets, outputs, loss, decode, references,
    tune, calibration, score, counts, baselines, record, output_row, describe.
    """

    task: ClassVar[str]
    """The name in the config of a saved model and in `HEADS`."""

    title: ClassVar[str]
    """The name of the task in reports and errors."""

    reads: ClassVar[str]
    """The kind of rows that `load_splits` reads for it: classification, sentiment or ner."""

    recipe: ClassVar[str]
    """The recipe that trains it."""

    labels_words: ClassVar[bool] = False
    """Whether each word of a row has a label, rather than the row."""

    baselines_note: ClassVar[str] = ""
    """What a comparison says of the baselines of the task, where they are not those of texts."""

    auto_class: ClassVar[str]
    """The Auto class of transformers that opens the network."""

    pipeline_tag: ClassVar[str]
    """The pipeline of transformers that runs the network."""

    peft_task: ClassVar[str]
    """PEFT's `task_type`."""

    best_metric: ClassVar[str]
    """The score that selects the best epoch, unless the user names another."""

    headline_scores: ClassVar[tuple[str, ...]]
    """The scores that tables show, the main one first."""

    slice_metric: ClassVar[str]
    """The score that a report shows for slices of the rows."""

    choice_metric: ClassVar[str]
    """The score by which `--strategy auto` chooses; higher is better."""

    report_parts: ClassVar[tuple[str, ...]] = ()
    """The parts of a report for this kind of task, by the names they are registered under."""

    prediction: ClassVar[type[AnyPrediction]]
    """The class of the predictions that `decode` returns."""

    report_words: ClassVar[dict[str, str]] = {
        "rows": "rows",
        "label": "label",
        "items": "rows",
        "answers": "labels",
        "calibrated_on": "the validation rows",
        "probabilities": "Of the predicted labels; the Brier score of all.",
    }
    """What a report calls its rows, a label, the items that are right or wrong, their predictions, the rows that
    calibration was fitted to, and what the probabilities are of."""

    answer_name: ClassVar[str] = "label"
    """What a log calls `answer` of a prediction."""

    is_tuned: ClassVar[bool] = False
    """Whether `tune` fits anything, so that it needs the logits of the best weights on the validation rows."""

    can_collapse: ClassVar[bool] = True
    """Whether the same prediction for all rows is a sign that training has failed."""

    can_balance: ClassVar[bool] = True
    """Whether `--sampling balanced` can draw rows by label."""

    no_confidence: ClassVar[str | None] = None
    """Why a prediction has no confidence estimate, where it has none."""

    no_probabilities: ClassVar[str | None] = None
    """Why there are no probabilities of all labels, where there are none."""

    loss_unit: float = 1.0
    """The validation loss over the training loss of the same row: heads may scale the loss that is minimised."""

    pairs: bool = False
    """Whether a row has two texts."""

    long_texts: str | None = None
    """How texts of more than `max_length` tokens are read, where the user chooses it (`--long_texts`)."""

    task_options: ClassVar[type]
    """The dataclass of options that `load_task` takes."""

    labels: LabelSet

    @classmethod
    @abstractmethod
    def load_task(cls, data: DataOptions, options: Any, seed: int = 0) -> tuple[Splits, TaskHead]:
        """The splits that `data` names and the head for them, as the task's recipe makes them from its `task_options`.

        Raises DataError and OptionError.
        """

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain JSON values: `type(head)(**head.options())` is the same head."""

    def adapt_to(self, checkpoint: Checkpoint) -> None:  # noqa: B027
        """Set what the head leaves to the encoder, such as its pooling; most heads leave nothing."""

    def take_native(self) -> bool:
        """Take the head of the encoder's family where that was left open; returns whether anything changed."""
        return False

    @abstractmethod
    def build(self, checkpoint: Checkpoint) -> Loaded:
        """Load the encoder's weights into a network with this head on top."""

    def adjust(self, network: PreTrainedModel) -> None:  # noqa: B027
        """Set options in a loaded network that its config has no field for; most heads have none."""

    @abstractmethod
    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        """Texts to predict, as columns for `encode`. Raises DataError for a value that is not a text."""

    @abstractmethod
    def encode(self, rows: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
        """Token ids of rows, as columns: `input_ids`, `row` (the index in `rows`) and what `outputs` needs.

        One row may have several features (windows of a long text); `labels` is there if the rows are labelled.
        """

    def account(self, rows: Columns, features: Columns) -> Mapping[str, int]:
        """Counts of texts, windows and words in `encode`, which are summed and logged; most heads have none."""
        return {}

    @abstractmethod
    def outputs(self, logits: Tensor, features: Columns) -> list[np.ndarray]:
        """Logits of the predicted items, `(items, labels)` for each feature of a batch."""

    def loss(self, logits: Tensor, labels: Tensor, count: int | float) -> Tensor:
        """Cross-entropy summed over the batch and divided by `count`, the labelled items of the whole step.

        As `count` spans all micro-batches and processes, gradient accumulation and the number of processes change
        nothing. `logits` is `(..., labels)`, `labels` is `(...)`.
        """
        return self.summed_loss(logits.flatten(0, -2), labels.flatten()) / count

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over the items of `logits`, `(items, labels)`, without those labelled `IGNORED`."""
        return F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")

    def decoder(self) -> Decoder | None:
        """What it does before and after the network, which an export takes along; None for a head without one."""
        return None

    @abstractmethod
    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[Any]:
        """A prediction for each row from its logits, `(items, labels)`."""

    @abstractmethod
    def references(self, rows: Columns) -> list[Any]:
        """The gold answers of rows, in the form that `score` compares."""

    @abstractmethod
    def targets(self, references: Sequence[Any]) -> list[list[Any]]:
        """The training targets of each row's items: a label id, or numbers."""

    def scale_param_groups(self, network: PreTrainedModel, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Parameter groups of an optimizer, with learning rates that fit the unit of the outputs; logits have none."""
        return groups

    def tune(self, outputs: Sequence[np.ndarray], rows: Columns) -> None:  # noqa: B027
        """Fit thresholds and calibration to the logits of validation rows; most heads have neither."""

    def calibration(self) -> dict[str, Any]:
        """The calibration that `tune` fitted, as plain JSON values; empty where there is none."""
        return {}

    def forget_calibration(self) -> None:  # noqa: B027
        """Drop the calibration, if there is one: probabilities are then those of the raw logits."""

    def uncalibrated(self) -> Self:
        """A copy of the head without its calibration."""
        plain = copy.copy(self)
        plain.forget_calibration()
        return plain

    def require_confidence(self) -> None:
        """Raise OptionError where predictions have no confidence estimate to abstain by."""
        if self.no_confidence:
            raise OptionError(f"--abstain_below needs one confidence for each row; {self.no_confidence}.")

    @abstractmethod
    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        """Scores by plain name."""

    @abstractmethod
    def counts(self, predictions: Sequence[Any], references: Sequence[Any]) -> RowCounts:
        """What each row adds to these scores; `metrics.interval` and `metrics.difference` bootstrap over it."""

    def all_scores(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        """`score`, and the metrics that are registered for the task (`register_metric`)."""
        return with_registered_scores(self.score(predictions, references), self.task, predictions, references)

    def all_counts(self, predictions: Sequence[Any], references: Sequence[Any]) -> RowCounts:
        """`counts`, with those of the metrics that are registered for the task."""
        return with_registered_counts(self.counts(predictions, references), self.task, predictions, references)

    @property
    def table_scores(self) -> tuple[str, ...]:
        """The scores that tables show: the headline scores, and the metrics that are registered for the task."""
        return (*self.headline_scores, *registered_metrics(self.task))

    def raw_probabilities(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[np.ndarray]:
        """Uncalibrated probabilities of each row's items, where the calibrated ones do not give them; else none."""
        return []

    def baselines(self, train: Dataset, others: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        """Predictions of each baseline, fitted to `train`, for the rows of all `others`, in their order."""
        return {}

    def scoring_record(self, row: int, gold: Any, predicted: Any) -> dict[str, Any]:
        """The line of predictions.jsonl of a row, and what else `counts` needs of a prediction."""
        return dict(predicted.record(row, gold))

    def words_tagged(self, predictions: Sequence[Any]) -> tuple[int, int]:
        """How many words have a tag, and how many have none; 0 and 0 for heads that label rows."""
        return 0, 0

    def agreement(self, predictions: Sequence[Any], others: Sequence[Any]) -> str:
        """How far `predictions` agree with `others`, which were computed in fp32, as the end of a log line."""
        same, rows = sum(a.answer == b.answer for a, b in zip(predictions, others, strict=True)), len(others)
        return (
            f"gives {same} of the first {rows} rows the {self.answer_name} that fp32 gives ({100 * same / rows:.1f}%)"
        )

    def on_share(self, everything: Rows, share: Rows) -> TaskHead:
        """The head made from `share` of its training rows, with the same labels.

        So nothing that was computed from the other rows, such as label frequencies or the mean of numbers, leaks into a
        model that learns from a share.
        """
        return type(self)(**self.options())

    def probe_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Options that suit a linear probe better than the head's own, where the user has not chosen others."""
        return {}

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The classifiers of scikit-learn that can be fitted for it, the preferred ones first."""
        return ()

    def require_features(self, classifier: str, strategy: str = "features") -> None:
        """Raise OptionError where a classifier that `strategy` fits to features cannot do what this head does."""
        raise OptionError(f"--strategy {strategy} has no classifier for {self.title}; take --strategy freeze.")

    @property
    def described(self) -> Mapping[str, tuple[int, ...]]:
        """What texts can describe, by its name, with its label ids: the labels, or the types of entities.

        Empty for a head whose outputs have no meaning that a text could tell.
        """
        return {}

    def for_features(self) -> Self:
        """The head for a classifier of scikit-learn on the frozen encoder."""
        return self

    def feature_config(self) -> dict[str, Any]:
        """The fields of the network's config that select the features of the classifier."""
        return {"pooling": "tokens"}

    def fit_classifier(
        self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int
    ) -> Fitted | tuple[np.ndarray, np.ndarray]:
        """Fit a classifier of scikit-learn to `features`, `(items, width)`, and label ids or numbers, `(items, ...)`.

        Returns the fitted classifier, or the weight and the bias of the network's last layer where it is linear.
        """
        raise NotImplementedError(f"{type(self).__name__} fits no classifier: it has no `classifiers`")

    def shape(self) -> dict[str, Any]:
        """The options of layers and pooling with which another head for texts is built like this one."""
        return {}

    def read_scores(self, rows: Rows) -> tuple[Rows, str]:
        """Rows whose labels are scores, converted to the labels of this head, and a note on how for the log.

        Raises DataError for a head that learns labels alone.
        """
        raise DataError(
            f"{rows.source}: column '{rows.columns['label']}' holds scores, not labels; cut them into levels in the "
            f"file, or cut the target too with --levels and --level_edges, or name another --source_label_column_name."
        )

    def describe(self) -> list[str]:
        """The outputs of the head, as lines of the model card."""
        return [f"Labels, in the order of their ids: {', '.join(map(inline_code, self.labels))}."]

    def describe_calibration(self) -> list[str]:
        """How other tools can calibrate probabilities, as lines of the model card."""
        if not self.calibration():
            return ["Probabilities are those of the raw logits: they are not calibrated."]
        return [
            "Probabilities of `nlp_transfer.TransferModel.predict` are calibrated on the validation rows; those of",
            "other tools, `transformers.pipeline` among them, are those of the raw logits, and not calibrated; the",
            f"predicted labels are the same. {self._calibration_formula()}",
        ]

    def _calibration_formula(self) -> str:
        return f"Divide logits by {self.calibration()['temperature']:.4f} to calibrate them."

    def describe_long_texts(self, max_length: int) -> list[str]:
        """How texts of more than `max_length` tokens are read, as lines of the model card."""
        return [
            f"Texts of more than {max_length} tokens are read in overlapping windows by nlp_transfer,",
            '`nlp_transfer.TransferModel.load("model").predict(["Some text."])`; a pipeline reads their first tokens.',
        ]

    def span_pipeline(self, tokenizer: PreTrainedTokenizerBase) -> SpanPipeline | None:
        """How `transformers.pipeline` finds the entities that are predicted; None where a head predicts none.

        It is tried when the run is verified, in place of `pipeline_options` and `pipeline_call`.
        """
        return None

    pipeline_options: ClassVar[str] = ""
    """Further arguments of `transformers.pipeline`, as code of the model card."""

    def pipeline_call(self) -> str:
        """A call of the pipeline `pipe`, as code of the model card."""
        return 'pipe("Some text.")'

    def evaluate(self, outputs: Sequence[np.ndarray], rows: Columns) -> Scores:
        """Scores of logits against the rows' gold answers, and `loss`, the mean cross-entropy of an item in nats."""
        references = self.references(rows)
        logits = torch.from_numpy(np.concatenate(list(outputs)))
        labels = torch.tensor([label for row in self.targets(references) for label in row])
        loss = F.cross_entropy(logits, labels).item()
        return self.all_scores(self.decode(outputs, rows), references) | {"loss": loss}


def require_temperature(temperature: float | None) -> None:
    """Raise OptionError for a temperature that logits cannot be divided by."""
    if temperature is not None and not 0 < temperature < np.inf:
        raise OptionError(f"temperature must be more than 0; got {temperature}.")


def label_set(names: Iterable[str]) -> LabelSet:
    """The label set of names that a user gave. Raises OptionError if one of them repeats."""
    try:
        return LabelSet(names)
    except ValueError as error:
        raise OptionError(f"{error}; name each once.") from error


def label_options(labels: LabelSet) -> dict[str, Any]:
    """The labels as arguments of `from_pretrained`, so that other tools read their names from the config."""
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
