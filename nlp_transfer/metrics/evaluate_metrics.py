"""The scores as `evaluate.Metric` classes, for `evaluate.combine`.

Importing this module loads evaluate and datasets, which takes seconds, so that nothing in the package does: it calls
the functions that these classes call. They stand here because `evaluate.load` fetches code over the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from nlp_transfer.metrics.label_scores import label_scores, scale_scores
from nlp_transfer.metrics.label_set_scores import label_set_scores, multi_label_scores
from nlp_transfer.metrics.number_scores import regression_scores
from nlp_transfer.metrics.span_scores import span_scores
from nlp_transfer.types import Scores


class LocalMetric(evaluate.Metric):
    """An `evaluate.Metric` that keeps its rows in memory and leaves nothing in Hugging Face's cache.

    With `num_process` above 1 it works through files there, as `evaluate` does.
    """

    _inputs: str
    _kinds: Sequence[Any]
    """What a row may be."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("keep_in_memory", options.get("num_process", 1) == 1)
        super().__init__(**options)

    def _build_data_dir(self) -> str:
        return str(self._data_dir_root) if self.keep_in_memory else super()._build_data_dir()

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description=self._inputs,
            features=self._features(),
        )

    def _features(self) -> list[Features]:
        return [Features(predictions=kind, references=kind) for kind in self._kinds]


class _LabelMetric(LocalMetric):
    """Takes label names or ids: with `labels` an id is a place in it, without it is its own name."""

    _inputs = "predictions and references: a label name or an id for each row."
    _kinds: Sequence[Any] = (Value("string"), Value("int64"))
    _scores: Sequence[str]

    def __init__(self, labels: Sequence[str] | None = None, **options: Any) -> None:
        self.labels = labels
        super().__init__(**options)

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        labels = self._sorted({*predictions, *references}) if self.labels is None else self.labels
        names = {} if self.labels is None else dict(enumerate(labels))
        predicted, expected = ([names.get(label, label) for label in rows] for rows in (predictions, references))
        scores = self._measure(predicted, expected, labels)
        return {name: scores[name] for name in self._scores}

    def _sorted(self, present: set[Any]) -> Sequence[Any]:
        return sorted(present)

    def _measure(self, predictions: Sequence[Any], references: Sequence[Any], labels: Sequence[Any]) -> Scores:
        return label_scores(predictions, references, labels)


class Accuracy(_LabelMetric):
    """The share of rows whose label is right."""

    _scores = ("accuracy",)


class Precision(_LabelMetric):
    """Precision, averaged over the labels and of each by name."""

    _scores = ("macro_precision", "micro_precision", "weighted_precision", "precision_per_class")


class Recall(_LabelMetric):
    """Recall, averaged over the labels and of each by name."""

    _scores = ("macro_recall", "micro_recall", "weighted_recall", "recall_per_class")


class F1(_LabelMetric):
    """F1, averaged over the labels and of each by name.

    >>> F1().compute(predictions=[0, 1], references=[0, 1])["macro_f1"]
    1.0
    """

    _scores = ("macro_f1", "micro_f1", "weighted_f1", "f1_per_class")


class MatthewsCorrelation(_LabelMetric):
    """Matthews' correlation, for two or more labels (Gorodkin 2004); 0.0 where either side holds one label only."""

    _scores = ("mcc",)


class MacroRecall(_LabelMetric):
    """The mean recall of the labels, the measure of SemEval's sentiment tasks (Rosenthal et al. 2017)."""

    _scores = ("macro_recall",)


class _ScaleMetric(_LabelMetric):
    """Needs `labels` in order, lowest first, to read names; an id without them is its own place on the scale."""

    def _sorted(self, present: set[Any]) -> Sequence[Any]:
        if any(isinstance(label, str) for label in present):
            raise ValueError(f"{type(self).__name__} of label names needs `labels`, in order, lowest first")
        return range(min(present), max(present) + 1)

    def _measure(self, predictions: Sequence[Any], references: Sequence[Any], labels: Sequence[Any]) -> Scores:
        return scale_scores(predictions, references, labels)


class MeanAbsoluteSteps(_ScaleMetric):
    """The mean distance of the predicted from the true label, in places on the scale.

    >>> MeanAbsoluteSteps(labels=["low", "mid", "high"]).compute(predictions=["low"], references=["high"])
    {'mae_steps': 2.0}
    """

    _scores = ("mae_steps",)


class QuadraticKappa(_ScaleMetric):
    """Cohen's kappa with quadratic weights (Cohen 1968); 0.0 where all rows hold one and the same label."""

    _scores = ("quadratic_kappa",)


class _SetMetric(LocalMetric):
    """Takes lists of label names; `labels` names all there are."""

    _inputs = "predictions and references: a list of label names for each row."
    _kinds: Sequence[Any] = (List(Value("string")),)
    _scores: Sequence[str]

    def __init__(self, labels: Sequence[str], **options: Any) -> None:
        self.labels = labels
        super().__init__(**options)

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        scores = label_set_scores(predictions, references, self.labels)
        return {name: scores[name] for name in self._scores}


class MultiLabelF1(_SetMetric):
    """F1 of sets of labels: micro, macro, weighted, the mean over rows (samples), and by label.

    >>> MultiLabelF1(labels=["a", "b"]).compute(predictions=[["a"]], references=[["a"]])["micro_f1"]
    1.0
    """

    _scores = ("micro_f1", "macro_f1", "weighted_f1", "samples_f1", "f1_per_class")


class HammingLoss(_SetMetric):
    """The share of labels, over all rows, that are true and not predicted, or predicted and not true."""

    _scores = ("hamming_loss",)


class LabelRankingAveragePrecision(_SetMetric):
    """LRAP of scores, `(rows, labels)`, in the order of `labels` (Schapire and Singer 2000); 1 is best.

    >>> LabelRankingAveragePrecision(labels=["a", "b"]).compute(predictions=[[0.9, 0.2]], references=[["a"]])
    {'lrap': 1.0}
    """

    _inputs = "predictions: a number for each label of each row; references: a list of label names for each row."

    def _features(self) -> list[Features]:
        return [Features(predictions=List(Value("float64")), references=List(Value("string")))]

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        return {"lrap": multi_label_scores([[]] * len(references), references, self.labels, predictions)["lrap"]}


class _NumberMetric(LocalMetric):
    _inputs = "predictions and references: a number for each row."
    _kinds: Sequence[Any] = (Value("float64"),)
    _score: str

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> Scores:
        return {self._score: regression_scores(predictions, references)[self._score]}


class MeanSquaredError(_NumberMetric):
    """The mean of the squared differences.

    >>> MeanSquaredError().compute(predictions=[1.0], references=[3.0])
    {'mse': 4.0}
    """

    _score = "mse"


class MeanAbsoluteError(_NumberMetric):
    """The mean of the differences without their signs."""

    _score = "mae"


class PearsonCorrelation(_NumberMetric):
    """Pearson's correlation; 0.0 where either side is one number throughout."""

    _score = "pearson"


class SpearmanCorrelation(_NumberMetric):
    """Spearman's correlation of ranks; 0.0 where either side is one number throughout."""

    _score = "spearman"


class SpanF1(LocalMetric):
    """The scores of `span_scores` for sentences of tags in `scheme`.

    >>> SpanF1(scheme="IOB2").compute(predictions=[["I-PER"]], references=[["B-PER"]])["f1_strict"]
    0.0
    """

    _inputs = "predictions and references: a list of tags for each sentence."
    _kinds: Sequence[Any] = (List(Value("string")),)

    def __init__(self, scheme: str = "IOB2", **options: Any) -> None:
        self.scheme = scheme
        super().__init__(**options)

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Scores:
        return span_scores(predictions, references, self.scheme)
