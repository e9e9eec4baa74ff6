"""What an outside package adds: two heads, a strategy, a metric and a part of the report, one registration each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerBase

import nlp_transfer as nt
from nlp_transfer.config import NEROptions
from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.word_windows import encode_words, logits_of_words, words_of
from nlp_transfer.decoding.probabilities import softmax
from nlp_transfer.encoders.pretrained import Checkpoint, Loaded
from nlp_transfer.encoders.sklearn_head.classifiers import LINEAR
from nlp_transfer.encoders.sklearn_head.fitting import fit_layer
from nlp_transfer.heads.task_head import Columns, label_options, label_set
from nlp_transfer.metrics import RowCounts
from nlp_transfer.run.report.report_parts import ReportPart, ReportTable, ScoredRows, register_report_part
from nlp_transfer.strategies import Stage
from nlp_transfer.types import Scores


@nt.register_head
class IronyHead(nt.TextClassificationHead):
    """A classifier by another name, which is judged by macro F1."""

    task = "irony"
    title = "irony"
    best_metric = "macro_f1"
    headline_scores = ("macro_f1", "accuracy")


@dataclass(frozen=True)
class WordClasses:
    """A class, and its probability, for each word of a text."""

    words: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: tuple[float, ...] = ()

    @property
    def answer(self) -> tuple[str, ...]:
        return self.classes

    def record(self, row: int, gold: Sequence[str]) -> dict[str, Any]:
        return {"row": row, "words": self.words, "gold": gold, "predicted": self.classes}

    @classmethod
    def from_record(cls, line: Mapping[str, Any]) -> WordClasses:
        return cls(tuple(line["words"]), tuple(line["predicted"]))

    def output(self, *, all_probabilities: bool, abstains: bool) -> dict[str, Any]:
        return {"words": list(self.words), "classes": list(self.classes)}

    @classmethod
    def output_schema(cls, labels: Iterable[str], *, all_probabilities: bool, abstains: bool) -> dict[str, pa.DataType]:
        return {"words": pa.list_(pa.string()), "classes": pa.list_(pa.string())}


@nt.register_head
class WordClassHead(nt.TaskHead):
    """A class for each word, as of parts of speech: no spans, no scheme."""

    task = "word_classes"
    title = "word classes"
    reads = "ner"
    recipe = "ner"
    labels_words = True
    auto_class = "AutoModelForTokenClassification"
    pipeline_tag = "token-classification"
    peft_task = "TOKEN_CLS"
    task_options = NEROptions
    prediction = WordClasses
    best_metric = "word_accuracy"
    headline_scores = ("word_accuracy", "sentence_accuracy")
    slice_metric = "word_accuracy"
    choice_metric = "word_accuracy"
    report_parts = ("word_classes",)
    can_balance = False
    no_confidence = "a class is given to each word"
    no_probabilities = "a class is given to each word"

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = label_set(labels)

    @classmethod
    def for_splits(cls, splits: nt.Splits) -> WordClassHead:
        return cls(sorted({tag for tags in values(splits.train.data, "tags") for tag in tags}))

    @classmethod
    def load_task(cls, data: nt.DataOptions, options: Any, seed: int = 0) -> tuple[nt.Splits, nt.TaskHead]:
        splits = nt.load_splits(data, cls.reads, seed)
        return splits, cls.for_splits(splits)

    def options(self) -> dict[str, Any]:
        return {"labels": list(self.labels)}

    def build(self, checkpoint: Checkpoint) -> Loaded:
        return checkpoint.load(AutoModelForTokenClassification, **label_options(self.labels))

    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        return {"words": [words_of(text)["words"] for text in texts]}

    def encode(self, rows: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
        targets = self.targets(rows["tags"]) if "tags" in rows else None
        return encode_words(rows["words"], targets, tokenizer, max_length)

    def targets(self, references: Sequence[Sequence[str]]) -> list[list[int]]:
        return [[self.labels.id(tag) for tag in tags] for tags in references]

    def outputs(self, logits: Tensor, features: Columns) -> list[np.ndarray]:
        return logits_of_words(logits, features)

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[WordClasses]:
        return [
            WordClasses(
                tuple(words),
                tuple(self.labels.names[i] for i in logits.argmax(axis=1)),
                tuple(map(float, softmax(logits).max(axis=1))),
            )
            for logits, words in zip(outputs, rows["words"], strict=True)
        ]

    def references(self, rows: Columns) -> list[list[str]]:
        return [list(tags) for tags in rows["tags"]]

    def score(self, predictions: Sequence[WordClasses], references: Sequence[Sequence[str]]) -> Scores:
        counts = self.counts(predictions, references)
        return {name: float(value[0]) for name, value in counts.of(np.ones((1, len(counts)))).items()}

    def counts(self, predictions: Sequence[WordClasses], references: Sequence[Sequence[str]]) -> RowCounts:
        right = [sum(map(str.__eq__, p.classes, tags)) for p, tags in zip(predictions, references, strict=True)]
        words = [len(tags) for tags in references]
        sums = np.array([[r, w, r == w, 1] for r, w in zip(right, words, strict=True)], dtype=float)
        return RowCounts(
            sums,
            lambda s: {"word_accuracy": s[:, 0] / s[:, 1], "sentence_accuracy": s[:, 2] / s[:, 3]},
        )

    def baselines(self, train: Dataset, others: Sequence[Dataset], seed: int = 0) -> dict[str, list[Any]]:
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        every: Counter[str] = Counter()
        for words, tags in rows_of(train, "words", "tags"):
            every.update(tags)
            for word, tag in zip(words, tags, strict=True):
                seen[word][tag] += 1
        commonest = every.most_common(1)[0][0]
        guess = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
        sentences = [words for rows in others for words in values(rows, "words")]
        return {"most_frequent": [WordClasses(tuple(s), tuple(guess.get(w, commonest) for w in s)) for s in sentences]}

    @property
    def classifiers(self) -> tuple[str, ...]:
        return LINEAR

    def require_features(self, classifier: str) -> None:
        """A linear classifier suits it as it is."""

    def fit_classifier(self, classifier: str, features: np.ndarray, labels: np.ndarray, seed: int) -> Any:
        return fit_layer(classifier, features, labels, len(self.labels), seed)


@nt.register_strategy
@dataclass
class BitFit(nt.Strategy):
    """The head and the biases of the encoder train (Ben Zaken et al. 2022)."""

    name: ClassVar[str] = "bitfit"
    default_learning_rate: ClassVar[float] = 1e-3

    bias_decay: float = nt.option(0.0, help="weight decay of biases.", at_least=0, short=True, search=nt.Range(0, 1))

    def start(self, model: nt.TransferModel, stage: Stage) -> None:
        model.encoder.freeze(stage.frozen_layers)
        for name, parameter in model.encoder.base.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))

    def groups(self, model: nt.TransferModel, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        of_encoder = {id(p) for p in model.encoder.base.parameters()}
        learning = [p for p in model.network.parameters() if p.requires_grad]
        biases = [p for p in learning if id(p) in of_encoder]
        others = [p for p in learning if id(p) not in of_encoder]
        return [
            {"params": others, "lr": learning_rate, "weight_decay": weight_decay},
            {"params": biases, "lr": learning_rate, "weight_decay": self.bias_decay},
        ]


def praise_gap_of(predictions: Sequence[nt.Prediction], references: Sequence[str]) -> float:
    """How far the share of predicted praise is from the true one, a metric for `nt.register_metric`."""
    predicted = sum(p.label == "praise" for p in predictions)
    return abs(predicted - sum(label == "praise" for label in references)) / len(references)


def word_class_part(scored: ScoredRows) -> ReportPart:
    """How many words of each class were right, as a table of the page."""
    right: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for prediction, tags in zip(scored.predictions, scored.references, strict=True):
        words.update(tags)
        right.update(tag for tag, predicted in zip(tags, prediction.classes, strict=True) if tag == predicted)
    rows = [[name, right[name], count] for name, count in sorted(words.items())]
    return ReportPart(
        {"right_words": dict(right)}, tables=[ReportTable("Words by class", ["class", "right", "words"], rows)]
    )


register_report_part("word_classes", word_class_part)
