"""How good are predicted labels: of one label a text, and of labels on a scale?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import eq
from typing import Any

from datasets import Value

from nlp_transfer.metrics.metric import LocalMetric, check_lengths
from nlp_transfer.types import Scores

_MEASURES = ("precision", "recall", "f1")
_REPORTED = ["accuracy", "macro_f1", "micro_f1", "weighted_f1", "macro_precision", "macro_recall", "mcc"]
_REPORTED += ["f1_per_class", "precision_per_class", "recall_per_class"]


def classification_scores(predictions: Sequence[str], references: Sequence[str], labels: Sequence[str]) -> Scores:
    """Accuracy, MCC, and precision, recall and F1 averaged and by class, of one label a row.

    Macro means run over the labels that occur in `predictions` or `references`, as in scikit-learn, and the scores by
    class name the same labels. MCC (for several classes: Gorodkin 2004) is 0.0 where either side holds one label only.
    Raises ValueError if lengths differ, there are no rows, or a row holds a label that is not one of `labels`.

    >>> classification_scores(["no", "yes"], ["no", "no"], labels=["no", "yes"])["accuracy"]
    0.5
    """
    scores = _label_scores(*_ranks(predictions, references, labels), labels)
    return {name: scores[name] for name in _REPORTED}


def sentiment_scores(predictions: Sequence[str], references: Sequence[str], labels: Sequence[str]) -> Scores:
    """The scores of a classifier, and how far off it is on the scale: `mae_steps` and `quadratic_kappa`.

    `labels` are in order, lowest first. `mae_steps` is the mean distance, in places, of the predicted from the true
    label. `quadratic_kappa` is Cohen's kappa with quadratic weights (Cohen 1968); where all rows, predicted and true,
    hold one and the same label it is undefined, and 0.0 here. Raises as `classification_scores` does.

    >>> sentiment_scores(["low", "high"], ["low", "mid"], labels=["low", "mid", "high"])["mae_steps"]
    0.5
    """
    return {
        **classification_scores(predictions, references, labels),
        **_scale_scores(*_ranks(predictions, references, labels)),
    }


class _LabelMetric(LocalMetric):
    """Reads rows of label names, or of ids: with `labels` an id is a place in it, without it is its own name."""

    _inputs = "predictions and references: a label name or an id for each row."
    _kinds: Sequence[Any] = (Value("string"), Value("int64"))
    _names: Sequence[str]

    def __init__(self, labels: Sequence[str] | None = None, **options: Any) -> None:
        self.labels = labels
        super().__init__(**options)

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
        present = {*predictions, *references}
        names = self._order(present) if self.labels is None else self.labels
        are_ids = self.labels is not None and not any(isinstance(value, str) for value in present)
        values = range(len(names)) if are_ids else names
        scores = self._measure(*_ranks(predictions, references, values), names)
        return {name: scores[name] for name in self._names}

    def _order(self, present: Iterable[Any]) -> Sequence[Any]:
        return sorted(present)

    def _measure(self, predicted: list[int], expected: list[int], names: Sequence[Any]) -> Scores:
        return _label_scores(predicted, expected, names)


class Accuracy(_LabelMetric):
    """The share of rows whose label is right."""

    _names = ("accuracy",)


class Precision(_LabelMetric):
    """Precision, averaged over the labels and of each by name."""

    _names = ("macro_precision", "micro_precision", "weighted_precision", "precision_per_class")


class Recall(_LabelMetric):
    """Recall, averaged over the labels and of each by name."""

    _names = ("macro_recall", "micro_recall", "weighted_recall", "recall_per_class")


class F1(_LabelMetric):
    """F1, averaged over the labels and of each by name.

    >>> F1().compute(predictions=[0, 1], references=[0, 1])["macro_f1"]
    1.0
    """

    _names = ("macro_f1", "micro_f1", "weighted_f1", "f1_per_class")


class MatthewsCorrelation(_LabelMetric):
    """Matthews' correlation, for two or more labels (Gorodkin 2004); 0.0 where either side holds one label only."""

    _names = ("mcc",)


class MacroRecall(_LabelMetric):
    """The mean recall of the labels, the measure of SemEval's sentiment tasks (Rosenthal et al. 2017)."""

    _names = ("macro_recall",)


class _ScaleMetric(_LabelMetric):
    """Needs `labels` in order, lowest first, to read names; an id without them is its own place on the scale."""

    def _order(self, present: Iterable[Any]) -> Sequence[Any]:
        if any(isinstance(value, str) for value in present):
            raise ValueError(f"{type(self).__name__} of label names needs `labels`, in order, lowest first")
        return range(min(present), max(present) + 1)

    def _measure(self, predicted: list[int], expected: list[int], names: Sequence[Any]) -> Scores:
        return _scale_scores(predicted, expected)


class MeanAbsoluteSteps(_ScaleMetric):
    """The mean distance of the predicted from the true label, in places on the scale.

    >>> MeanAbsoluteSteps(labels=["low", "mid", "high"]).compute(predictions=["low"], references=["high"])
    {'mae_steps': 2.0}
    """

    _names = ("mae_steps",)


class QuadraticKappa(_ScaleMetric):
    """Cohen's kappa with quadratic weights (Cohen 1968); 0.0 where all rows hold one and the same label."""

    _names = ("quadratic_kappa",)


def _ranks(predictions: Sequence[Any], references: Sequence[Any], values: Sequence[Any]) -> tuple[list[int], list[int]]:
    """The place in `values` of every predicted and every true label."""
    check_lengths(predictions, references)
    places = {value: place for place, value in enumerate(values)}
    for value in (*predictions, *references):
        if value not in places:
            raise ValueError(f"label {value!r} is not one of the {len(values)} labels")
    return [places[value] for value in predictions], [places[value] for value in references]


def _label_scores(predicted: list[int], expected: list[int], names: Sequence[Any]) -> Scores:
    """Every score of unordered labels; `names` are what the places are called."""
    from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support  # a second: only where scored

    present = sorted({*predicted, *expected})
    scores: Scores = {
        "accuracy": sum(map(eq, predicted, expected)) / len(expected),
        "mcc": float(matthews_corrcoef(expected, predicted)) if len(present) > 1 else 0.0,
    }
    for average in ("macro", "micro", "weighted"):
        means = precision_recall_fscore_support(expected, predicted, average=average, zero_division=0)[:3]
        scores |= {f"{average}_{name}": float(mean) for name, mean in zip(_MEASURES, means, strict=True)}
    columns = precision_recall_fscore_support(expected, predicted, labels=present, average=None, zero_division=0)[:3]
    for name, column in zip(_MEASURES, columns, strict=True):
        scores[f"{name}_per_class"] = {str(names[i]): float(value) for i, value in zip(present, column, strict=True)}
    return scores


def _scale_scores(predicted: list[int], expected: list[int]) -> Scores:
    from sklearn.metrics import cohen_kappa_score

    present = {*predicted, *expected}
    scale = list(range(min(present), max(present) + 1))  # a level that no row holds is still a step
    kappa = cohen_kappa_score(expected, predicted, labels=scale, weights="quadratic") if len(scale) > 1 else 0.0
    steps = sum(abs(p - e) for p, e in zip(predicted, expected, strict=True))
    return {"mae_steps": steps / len(expected), "quadratic_kappa": float(kappa)}
