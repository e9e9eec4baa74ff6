"""How good are the predictions? Scores of labels, of labels on a scale, and of entity spans.

The three functions take label names or tags and return plain Python numbers, ready for JSON. The classes give the same
scores as `evaluate.Metric`; they live here because `evaluate.load` fetches code over the network and fails without it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from operator import eq
from typing import Any

import evaluate
from datasets import Features, List, Value

from nlp_transfer.types import Scores

SCHEMES = ("IOB1", "IOB2", "BIOES", "BILOU")

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


def span_scores(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str) -> Scores:
    """Precision, recall and F1 of entity spans that seqeval reads from the tags, strictly and leniently.

    A span counts where its type and both its ends are right. Strict: only what is well formed in `scheme` is a span.
    Lenient: also what looks like one, such as an I- tag that opens a span, as conlleval reads it (Tjong Kim Sang and
    De Meulder 2003). Plain names are micro averages; macro means run over the types that occur on either side;
    `per_type` is strict, `per_type_lenient` is not. A score with nothing to divide by is 0.0, also where neither side
    holds a span. Raises ValueError if lengths differ, `scheme` is not one of `SCHEMES`, or a tag does not belong to it.

    >>> span_scores([["I-PER", "O"]], [["B-PER", "O"]], scheme="IOB2")["f1_lenient"]
    1.0
    """
    from seqeval import scheme as schemes  # brings scikit-learn, a second: only where scored

    _check_tags(predictions, references, scheme)
    predicted, expected = [list(tags) for tags in predictions], [list(tags) for tags in references]
    strict_scheme = getattr(schemes, "IOBES" if scheme == "BIOES" else scheme)
    strict = _span_report(predicted, expected, mode="strict", scheme=strict_scheme)
    if scheme == "BILOU":  # seqeval's lenient reading does not know L and U
        predicted, expected = _as_bioes(predicted), _as_bioes(expected)
    lenient = _span_report(predicted, expected)
    return {
        **_span_averages(strict, "strict"),
        **_span_averages(lenient, "lenient"),
        "per_type": _span_types(strict),
        "per_type_lenient": _span_types(lenient),
        "scheme": scheme,
    }


class _LocalMetric(evaluate.Metric):
    """An `evaluate.Metric` that keeps its rows in memory and leaves nothing in Hugging Face's cache.

    With `num_process` above 1 it works through files there, as `evaluate` does.
    """

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
            features=[Features(predictions=kind, references=kind) for kind in self._kinds],
        )


class _LabelMetric(_LocalMetric):
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


class SpanF1(_LocalMetric):
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


def _ranks(predictions: Sequence[Any], references: Sequence[Any], values: Sequence[Any]) -> tuple[list[int], list[int]]:
    """The place in `values` of every predicted and every true label."""
    _check_lengths(predictions, references)
    places = {value: place for place, value in enumerate(values)}
    for value in (*predictions, *references):
        if value not in places:
            raise ValueError(f"label {value!r} is not one of the {len(values)} labels")
    return [places[value] for value in predictions], [places[value] for value in references]


def _check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions but {len(references)} references: a row needs one of each")
    if not len(references):
        raise ValueError("there are no rows to score")


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


def _check_tags(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"unknown tag scheme {scheme!r}; known are {', '.join(SCHEMES)}")
    _check_lengths(predictions, references)
    for row, (predicted, expected) in enumerate(zip(predictions, references, strict=True)):
        if len(predicted) != len(expected):
            raise ValueError(f"sentence {row} has {len(predicted)} predicted tags but {len(expected)} true ones")
    prefixes = tuple(f"{letter}-" for letter in scheme.strip("12").replace("O", ""))
    for tag in {tag for tags in (*predictions, *references) for tag in tags}:
        if tag != "O" and not tag.startswith(prefixes):
            raise ValueError(f"tag {tag!r} is not of {scheme}, whose tags are O or start with {', '.join(prefixes)}")


def _as_bioes(sentences: list[list[str]]) -> list[list[str]]:
    letters = {"L": "E", "U": "S"}
    return [[letters.get(tag[0], tag[0]) + tag[1:] for tag in tags] for tags in sentences]


def _span_report(predicted: list[list[str]], expected: list[list[str]], **reading: Any) -> Mapping[str, Any]:
    """Rows of precision, recall, f1-score and support: one a type, then `micro avg`, `macro avg`, `weighted avg`."""
    from seqeval.metrics import classification_report

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the macro mean over no types, which _span_row makes 0.0
        return classification_report(expected, predicted, output_dict=True, zero_division=0, **reading)


def _span_averages(report: Mapping[str, Any], reading: str) -> Scores:
    micro, macro = _span_row(report["micro avg"]), _span_row(report["macro avg"])
    return {f"{name}_{reading}": value for name, value in micro.items()} | {
        f"macro_{name}_{reading}": value for name, value in macro.items()
    }


def _span_types(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        name: {**_span_row(row), "support": int(row["support"])}
        for name, row in report.items()
        if not name.endswith(" avg")
    }


def _span_row(row: Mapping[str, Any]) -> dict[str, float]:
    values = {"f1": row["f1-score"], "precision": row["precision"], "recall": row["recall"]}
    return {name: 0.0 if math.isnan(value) else float(value) for name, value in values.items()}
