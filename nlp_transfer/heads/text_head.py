"""The base class of heads for a text, or a pair of texts: network, long texts and windows."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from nlp_transfer.config import ClassificationOptions, DataOptions
from nlp_transfer.data.batch import continues, continuing
from nlp_transfer.data.load import load_splits
from nlp_transfer.data.long_texts import LONG_TEXTS
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding.probabilities import WINDOW_POOLINGS, pooled_windows
from nlp_transfer.decoding.text_decoders import TextDecoder
from nlp_transfer.encoders.pooling.pooled_config import POOLINGS, PooledConfig
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.encoders.sklearn_head.classifiers import LINEAR
from nlp_transfer.errors import OptionError
from nlp_transfer.heads.task_head import Columns, TaskHead, label_options, label_set
from nlp_transfer.types import LabelSet, Scores

log = logging.getLogger(__name__)

_LONG_TEXTS = {
    "truncate": "Texts are truncated to {} tokens.",
    "head_tail": "Of texts of more than {} tokens nlp_transfer reads the first and the last ones.",
    "window": "Texts of more than {} tokens are read in overlapping windows by nlp_transfer, which pools their logits.",
}


class TextHead(TaskHead):
    """Labels, or a number, for each text as a whole; the subclasses define which.

    Args:
        labels: the names of the logits.
        pooling: `native` is the head that transformers has for the encoder's family, so that transformers alone opens
            the saved folder. `cls`, `mean` (over the tokens, padding excluded) and `max` make a `PooledClassifier`.
            None is how the encoder was trained to pool, and `native` unless it is a sentence encoder.
        hidden: units of dense layers with ReLU before the last layer. With `native`, they take the first token.
        dropout: before every layer of the head; None is the family's own (0.1 for a `PooledClassifier`).
        pairs: whether a row has two texts. The longer one of a pair that is too long is truncated.
        long_texts: which tokens of a text that is too long are read: `truncate` the first ones, `head_tail` the first
            and the last ones, `window` all, in overlapping windows whose logits are pooled, in training too.
        window_pooling: `mean` or `max` of the windows' logits.

    Raises:
        OptionError: a value outside these.
    """

    reads = "classification"
    recipe = "classify"
    auto_class = "AutoModelForSequenceClassification"
    pipeline_tag = "text-classification"
    peft_task = "SEQ_CLS"
    task_options = ClassificationOptions

    long_texts: str

    problem: ClassVar[str]
    """The kind of labels: single_label, multi_label or regression, as `problem_of` infers it from the rows."""

    problem_type: ClassVar[str]
    """The field `problem_type` of the config."""

    def __init__(
        self,
        labels: Sequence[str] | LabelSet,
        pooling: str | None = None,
        hidden: Sequence[int] = (),
        dropout: float | None = None,
        pairs: bool = False,
        long_texts: str = "truncate",
        window_pooling: str = "mean",
    ) -> None:
        self.labels = label_set(labels)
        self.pooling = pooling
        self._leaves_pooling_open = pooling is None
        self.hidden = tuple(hidden)
        self.dropout = dropout
        self.pairs = pairs
        self.long_texts = long_texts
        self.window_pooling = window_pooling
        self._validate_shape()

    @classmethod
    @abstractmethod
    def for_splits(cls, splits: Splits, **options: Any) -> Self:
        """The head for the labels of `splits.train`."""

    @classmethod
    def load_task(cls, data: DataOptions, options: Any, seed: int = 0) -> tuple[Splits, TaskHead]:
        splits = load_splits(data, cls.reads, seed)
        return splits, cls.for_splits(splits, **vars(options))

    def options(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "pooling": self.pooling,
            "hidden": list(self.hidden),
            "dropout": self.dropout,
            "pairs": self.pairs,
            "long_texts": self.long_texts,
            "window_pooling": self.window_pooling,
        }

    @property
    def is_native(self) -> bool:
        """Whether the network is a stock `AutoModelForSequenceClassification`."""
        return self.pooling in (None, "native") and not self.hidden

    def adapt_to(self, checkpoint: Checkpoint) -> None:
        if self._leaves_pooling_open:
            self.pooling = checkpoint.pooling or "native"

    def take_native(self) -> bool:
        if not self._leaves_pooling_open or self.is_native:
            return False
        self.pooling = "native"
        return True

    def build(self, checkpoint: Checkpoint) -> Loaded:
        of_labels = {"problem_type": self.problem_type, **label_options(self.labels)}
        if self.is_native:
            loaded = checkpoint.load(AutoModelForSequenceClassification, **of_labels)
            self.adjust(loaded.network)
            return loaded
        encoder = checkpoint.load(AutoModel)
        of_encoder = encoder.network.config.to_dict()
        of_encoder.pop("_name_or_path", None)  # a folder of this machine is nobody else's business
        config = PooledConfig(
            encoder_config=of_encoder,
            pooling="cls" if self.pooling in (None, "native") else self.pooling,
            hidden=list(self.hidden),
            dropout=0.1 if self.dropout is None else self.dropout,
            **of_labels,
        )
        network = PooledClassifier(config, encoder.network)
        new = {name for name, _ in network.named_parameters() if not name.startswith("backbone.")}
        new |= {f"backbone.{name}" for name in encoder.new} & {name for name, _ in network.named_parameters()}
        return Loaded(network, frozenset(new), encoder.dropped)

    def adjust(self, network: PreTrainedModel) -> None:
        if self.is_native and self.dropout is not None:
            _set_head_dropout(network, self.dropout)

    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        return self.decoder().columns_of(texts)

    def encode(self, rows: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
        """Columns as in `TaskHead.encode`; `dropped`: how many tokens of a row are not read.

        `token_type_ids` are there for pairs, if the tokenizer has them. Of the windows of a row the first has its
        label, the others have the marker that `continues` recognises.
        """
        features = self.decoder().encode(rows, tokenizer, max_length)
        if "label" in rows:
            labels = [items[0] for items in self.targets(rows["label"])]
            before = [-1, *features["row"]]
            features["labels"] = [
                labels[row] if row != previous else continuing(labels[row])
                for previous, row in zip(before, features["row"], strict=False)
            ]
        return features

    def outputs(self, logits: Tensor, features: Columns) -> list[np.ndarray]:
        return self.decoder().outputs(logits.float().cpu().numpy(), features)

    def loss(self, logits: Tensor, labels: Tensor, count: int | float) -> Tensor:
        """The loss of the rows of a batch, summed and divided by `count`, the rows of the whole step.

        `logits` is `(features, labels)`; windows of a row stand together, and their logits are pooled.
        """
        logits = logits.float()
        if self.long_texts == "window":
            logits, labels = self._joined(logits, labels)
        return self.summed_loss(logits, labels) / count

    def _joined(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled logits `(rows, labels)` and labels `(rows, ...)` of windows."""
        begins = ~continues(labels)
        row = (begins.cumsum(0) - 1)[:, None].expand_as(logits)
        pooled = logits.new_zeros(int(begins.sum()), logits.shape[1])
        how = {"mean": "mean", "max": "amax"}[self.window_pooling]
        return pooled.scatter_reduce(0, row, logits, how, include_self=False), labels[begins]

    def logits_of_rows(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Logits `(rows, labels)` of rows that have `(windows, labels)` each."""
        return pooled_windows(outputs, self.window_pooling, len(self.labels))

    @abstractmethod
    def decoder(self) -> TextDecoder:
        """What it does before and after the network."""

    def decoding_options(self) -> dict[str, Any]:
        """The arguments of the decoder that all heads for texts share."""
        return {
            "labels": self.labels.names,
            "pairs": self.pairs,
            "long_texts": self.long_texts,
            "window_pooling": self.window_pooling,
        }

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[Any]:
        return self.decoder().decode(outputs, rows)

    def references(self, rows: Columns) -> list[Any]:
        return list(rows["label"])

    def probe_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """The mean of all tokens for a native head, whose pooler was pretrained for another task, or is random."""
        if self.pooling is None and checkpoint.pooling:
            return {"pooling": checkpoint.pooling}
        return {"pooling": "mean"} if self.is_native else {}

    @property
    def classifiers(self) -> tuple[str, ...]:
        return LINEAR

    def step_options(self) -> dict[str, bool]:
        """The options that have a meaning only where the head is trained by steps, and whether each is set."""
        return {
            "hidden": bool(self.hidden),
            "dropout": self.dropout is not None,
            "long_texts": self.long_texts == "window",
        }

    def require_features(self, classifier: str, strategy: str = "features") -> None:
        for option, is_set in self.step_options().items():
            if is_set:
                raise OptionError(
                    f"--{option} has no meaning with --strategy {strategy}, whose classifier is not trained by steps; "
                    f"leave it out, or take --strategy freeze."
                )

    @property
    def described(self) -> Mapping[str, tuple[int, ...]]:
        return {name: (number,) for number, name in enumerate(self.labels)}

    def for_features(self) -> Self:
        """The same head with mean pooling in place of a native head's pooler."""
        if self.pooling not in (None, "native"):
            return self
        log.info("The features of a text are the mean of its last hidden states (--pooling mean).")
        return type(self)(**self.options() | {"pooling": "mean"})

    def feature_config(self) -> dict[str, Any]:
        return {"pooling": self.pooling, "problem_type": self.problem_type}

    def shape(self) -> dict[str, Any]:
        return {"pooling": self.pooling, "hidden": self.hidden, "dropout": self.dropout}

    def describe_long_texts(self, max_length: int) -> list[str]:
        return [_LONG_TEXTS[self.long_texts].format(max_length)]

    def pipeline_call(self) -> str:
        if self.pairs:
            return (
                f'pipe({{"text": "Some text.", "text_pair": "Its second text."}}, truncation=True{self._call_options})'
            )
        return f'pipe("Some text.", truncation=True{self._call_options})'

    _call_options: ClassVar[str] = ""

    def evaluate(self, outputs: Sequence[np.ndarray], rows: Columns) -> Scores:
        """Scores of logits against the rows' gold answers, and `loss`, the mean `plain_loss` of a row."""
        references = self.references(rows)
        logits = torch.from_numpy(self.logits_of_rows(outputs))
        labels = torch.tensor([items[0] for items in self.targets(references)])
        loss = self.plain_loss(logits, labels).item() / len(references)
        return self.all_scores(self.decode(outputs, rows), references) | {"loss": loss}

    @abstractmethod
    def plain_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss summed over rows, without smoothing or weights, as transformers computes it for this task."""

    def _validate_shape(self) -> None:
        if self.pooling not in (None, "native", *POOLINGS):
            raise OptionError(f"unknown pooling '{self.pooling}'; known are native, {', '.join(POOLINGS)}.")
        if any(units < 1 for units in self.hidden):
            raise OptionError(f"hidden layers need at least one unit each; got {list(self.hidden)}.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise OptionError(f"dropout must lie in [0, 1); got {self.dropout}.")
        if self.long_texts not in LONG_TEXTS:
            raise OptionError(f"--long_texts {self.long_texts}: known are {', '.join(LONG_TEXTS)}.")
        if self.window_pooling not in WINDOW_POOLINGS:
            raise OptionError(f"--window_pooling {self.window_pooling}: known are {', '.join(WINDOW_POOLINGS)}.")
        if self.pairs and self.long_texts != "truncate":
            raise OptionError(
                f"--long_texts {self.long_texts} is for single texts; pairs of texts are truncated, the longer text "
                "first; leave it out."
            )


def are_pairs(splits: Splits) -> bool:
    """Whether the rows hold pairs of texts."""
    return "text_pair" in splits.train.data.column_names


def _set_head_dropout(network: PreTrainedModel, dropout: float) -> None:
    """Set the dropout of a stock head in its modules, as each family names it otherwise in the config."""
    encoder = set(network.base_model.modules())
    drops = [module for module in network.modules() if isinstance(module, nn.Dropout) and module not in encoder]
    if not drops:
        raise OptionError(
            f"the native head of {network.config.model_type} has no dropout to set; choose --pooling mean."
        )
    for module in drops:
        module.p = dropout
