"""The head that tags words, and reads entities from the tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase

from nlp_transfer.config import DataOptions, NEROptions
from nlp_transfer.data import tag_schemes
from nlp_transfer.data.load import load_splits
from nlp_transfer.data.row_store import slices, stored, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.tag_schemes import recognise, scheme_named
from nlp_transfer.data.word_windows import encode_words
from nlp_transfer.decoding import TagDecoder
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.encoders.sklearn_head.classifiers import CLASSIFIERS
from nlp_transfer.encoders.sklearn_head.fitting import Fitted, fit_layer
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.heads.baselines import gazetteer_baseline
from nlp_transfer.heads.registry import register_head
from nlp_transfer.heads.span_pipeline import SpanPipeline, span_pipeline
from nlp_transfer.heads.task_head import (
    Columns,
    TaskHead,
    label_options,
    label_set,
    require_temperature,
)
from nlp_transfer.metrics import RowCounts, span_counts, span_scores
from nlp_transfer.metrics.temperature import fitted_temperature
from nlp_transfer.types import Scores, TagPrediction


@register_head
class NERHead(TaskHead):
    """A tag for each word, and the entities that the tags spell.

    The first subword of a word carries its label, in training and in predicting (Devlin et al. 2019, section 5.3).
    A text longer than `max_length` is read in overlapping windows, so that every word gets exactly one prediction.
    Tags are decoded by Viterbi over the valid transitions of the scheme, so no invalid sequence is predicted. `tune`
    fits a temperature to the words of the validation rows, which scales the probabilities and leaves the tags.

    >>> head = NERHead(["PER", "LOC"])
    >>> model = TransferModel.load("all-MiniLM-L6-v2", head)

    Args:
        entity_types: their names, without prefixes.
        scheme: that of the network's labels: IOB1, IOB2, BIOES or BILOU. `encode` and `score` take tags in this
            scheme; `for_splits` converts data of another one.
        tag_names: the labels in the order of the network's ids, of a model that another tool trained.
        temperature: the divisor of the logits; None where it was not fitted.

    Raises:
        OptionError: no entity type, or an unknown scheme.
    """

    task = "ner"
    title = "NER"
    reads = "ner"
    recipe = "ner"
    labels_words = True
    baselines_note = (
        "There is no majority label: a tag of no entity for each word has an F1 of 0. In place of TF-IDF, which reads "
        "whole texts, there is a gazetteer of the names in training."
    )
    auto_class = "AutoModelForTokenClassification"
    pipeline_tag = "token-classification"
    peft_task = "TOKEN_CLS"
    task_options = NEROptions
    prediction = TagPrediction
    answer_name = "tags"
    best_metric = "f1_strict"
    headline_scores = ("f1_strict", "precision_strict", "recall_strict", "f1_lenient")
    slice_metric = "f1_strict"
    choice_metric = "f1_strict"
    report_parts = ("entities",)
    report_words: ClassVar[dict[str, str]] = {
        "rows": "sentences",
        "label": "type",
        "items": "entities",
        "answers": "tags",
        "calibrated_on": "the words of the validation rows",
        "probabilities": "Of the predicted entities: that of the least probable word of each.",
    }
    can_balance = False
    no_confidence = TagDecoder.no_confidence
    no_probabilities = "a tagger gives the probability of each word's tag"
    is_tuned = True

    def __init__(
        self,
        entity_types: Sequence[str],
        scheme: str = "IOB2",
        tag_names: Sequence[str] | None = None,
        temperature: float | None = None,
    ) -> None:
        if isinstance(entity_types, str):
            raise OptionError(f"entity_types takes a list, such as [{entity_types!r}].")
        if not entity_types:
            raise OptionError("a NER head needs at least one entity type.")
        self.entity_types = tuple(entity_types)
        self.scheme = scheme_named(scheme)
        self.labels = label_set(tag_names or tag_schemes.tag_names(self.entity_types, self.scheme))
        self.temperature = temperature
        require_temperature(temperature)

    @classmethod
    def for_splits(
        cls, splits: Splits, tag_scheme: str | None = None, label_scheme: str = "IOB2"
    ) -> tuple[NERHead, Splits]:
        """The head for the entity types in `splits.train`, and the splits with their tags in `label_scheme`.

        `tag_scheme` is that of the data; by default it is recognised, and the splits' notes name it.
        """
        if tag_scheme:
            source, reason = scheme_named(tag_scheme), "--tag_scheme"
        else:
            recognised = recognise(_Tags(splits.train), partial(_place, splits.train))
            source, reason = recognised.scheme, recognised.reason
        types = [
            _entity_types(rows, source, tag_scheme is not None)
            for rows in (splits.train, splits.validation, splits.test)
            if rows
        ]
        head = cls(sorted(types[0]), label_scheme)

        def convert(rows: Rows) -> Rows:
            converted = (
                columns | {"tags": [tag_schemes.convert(tags, source, head.scheme) for tags in columns["tags"]]}
                for columns in slices(rows.data)
            )
            return replace(rows, data=stored(converted, rows.data.features))

        return head, splits.each(convert).noting(f"Tag scheme: {source} ({reason}).")

    @classmethod
    def load_task(cls, data: DataOptions, options: Any, seed: int = 0) -> tuple[Splits, TaskHead]:
        head, splits = cls.for_splits(load_splits(data, cls.reads, seed), **vars(options))
        return splits, head

    def options(self) -> dict[str, Any]:
        return {
            "entity_types": list(self.entity_types),
            "scheme": self.scheme,
            "tag_names": list(self.labels),
            "temperature": self.temperature,
        }

    def build(self, checkpoint: Checkpoint) -> Loaded:
        return checkpoint.load(AutoModelForTokenClassification, **label_options(self.labels))

    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        """Words, their character offsets, and the text; a text may be a list of words."""
        return self.decoder().columns_of(texts)

    def encode(self, rows: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
        """Columns as in `TaskHead.encode`, and `starts`: the places in `input_ids` of the words that are predicted."""
        targets = self.targets(rows["tags"]) if "tags" in rows else None
        return encode_words(rows["words"], targets, tokenizer, max_length)

    def account(self, rows: Columns, features: Columns) -> dict[str, int]:
        windows_of = Counter(features["row"])
        words, predicted = sum(map(len, rows["words"])), sum(map(len, features["starts"]))
        return {
            "texts": len(rows["words"]),
            "of them longer than the encoder": sum(count > 1 for count in windows_of.values()),
            "overlapping windows": sum(count for count in windows_of.values() if count > 1),
            "words": words,
            "words lost": words - predicted,
        }

    def targets(self, references: Sequence[Sequence[str]]) -> list[list[int]]:
        return [[self.labels.id(tag) for tag in tags] for tags in references]

    def outputs(self, logits: Tensor, features: Columns) -> list[np.ndarray]:
        return self.decoder().outputs(logits.float().cpu().numpy(), features)

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[TagPrediction]:
        """A prediction for each row; `rows["offsets"]`, if there, are the offsets of words in `rows["text"]`."""
        return self.decoder().decode(outputs, rows)

    def decoder(self) -> TagDecoder:
        return TagDecoder(self.labels.names, scheme=self.scheme, temperature=self.temperature)

    def references(self, rows: Columns) -> list[list[str]]:
        return [list(tags) for tags in rows["tags"]]

    def tune(self, outputs: Sequence[np.ndarray], rows: Columns) -> None:
        """Fit the temperature to the words of these rows, if 100 have words and 10 of them an error.

        Sentences are counted, not words: errors within one depend on each other.
        """
        answers = np.array([label for row in self.targets(self.references(rows)) for label in row])
        sentences = np.repeat(np.arange(len(outputs)), [len(logits) for logits in outputs])
        self.temperature = fitted_temperature(np.concatenate(list(outputs)), answers, "sentences", sentences)

    def calibration(self) -> dict[str, Any]:
        return {"temperature": self.temperature} if self.temperature else {}

    def forget_calibration(self) -> None:
        self.temperature = None

    def score(self, predictions: Sequence[TagPrediction], references: Sequence[Sequence[str]]) -> Scores:
        return span_scores([list(p.tags) for p in predictions], [list(tags) for tags in references], self.scheme)

    def counts(self, predictions: Sequence[TagPrediction], references: Sequence[Sequence[str]]) -> RowCounts:
        return span_counts([p.tags for p in predictions], references, self.scheme)

    def raw_probabilities(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[np.ndarray]:
        """Of a tagger, as the probability of one tag at a temperature does not give that without it."""
        if not self.temperature:
            return []
        return [np.array(p.probabilities, np.float32) for p in self.uncalibrated().decode(outputs, rows)]

    def baselines(self, train: Dataset, others: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        words = list(values(train, "words"))
        tags = [tag_schemes.convert(sequence, self.scheme, "IOB2") for sequence in values(train, "tags")]
        sentences = [sentence for rows in others for sentence in values(rows, "words")]
        guesses = gazetteer_baseline(words, tags, sentences, self.scheme)
        return {
            "gazetteer": [TagPrediction(tuple(w), tuple(t), (), ()) for w, t in zip(sentences, guesses, strict=True)]
        }

    def words_tagged(self, predictions: Sequence[TagPrediction]) -> tuple[int, int]:
        tagged = sum(len(p.tags) for p in predictions)
        return tagged, sum(len(p.words) for p in predictions) - tagged

    @property
    def classifiers(self) -> tuple[str, ...]:
        return CLASSIFIERS

    def require_features(self, classifier: str, strategy: str = "features") -> None:
        """No option of this head needs training by gradient descent."""

    @property
    def described(self) -> Mapping[str, tuple[int, ...]]:
        numbers = {name: number for number, name in enumerate(self.labels)}
        return {
            kind: tuple(number for name, number in numbers.items() if name.partition("-")[2] == kind)
            for kind in self.entity_types
        }

    def fit_classifier(
        self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int
    ) -> Fitted | tuple[np.ndarray, np.ndarray]:
        outside = self.labels.id("O")
        return fit_layer(classifier, features, labels, len(self.labels), seed, outside=outside)

    def span_pipeline(self, tokenizer: PreTrainedTokenizerBase) -> SpanPipeline:
        prefixes = {name.partition("-")[0] for name in self.labels} - {"O"}
        return span_pipeline(prefixes, self.scheme, tokenizer)


@dataclass(frozen=True)
class _Tags:
    """The tags of each sentence, read from disk at every pass."""

    rows: Rows

    def __iter__(self) -> Iterator[list[str]]:
        return values(self.rows.data, "tags")


def _place(rows: Rows, number: int) -> str:
    return f"{rows.source}, {rows.unit} {rows.data[number]['line']}"


def _entity_types(rows: Rows, scheme: str, is_given: bool) -> set[str]:
    """The entity types in the rows. DataError for the first tag that the scheme does not have."""
    types: set[str] = set()
    for number, tags in enumerate(_Tags(rows)):
        try:
            types.update(kind for kind, _, _ in tag_schemes.spans(tags, scheme))
        except DataError as error:
            why = "--tag_scheme is" if is_given else "the training rows are in"
            raise DataError(
                f"{_place(rows, number)}: {error}; {why} {scheme}, and all splits must be in one scheme."
            ) from error
    return types
