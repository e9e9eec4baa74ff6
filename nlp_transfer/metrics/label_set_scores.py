"""How good are predicted sets of labels, where a text may have several, or none?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Features, List, Value

from nlp_transfer.metrics.metric import LocalMetric, check_lengths
from nlp_transfer.types import Scores


def multi_label_scores(
    predictions: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    labels: Sequence[str],
    ranking: Sequence[Sequence[float]],
) -> Scores:
    """F1 in four averages and by label, precision and recall, Hamming loss, exact matches, and LRAP.

    `ranking` is `(rows, labels)`, the greater the likelier, which LRAP (Schapire and Singer 2000) reads alone. Samples
    F1 is the mean over rows, where a row without labels that is given none scores 1; F1 of a label that is neither
    there nor predicted is 0. Raises ValueError if lengths differ, there are no rows, or a label is unknown.

    >>> multi_label_scores([["a"]], [["a", "b"]], ["a", "b"], [[0.9, 0.2]])["hamming_loss"]
    0.5
    """
    from sklearn.metrics import label_ranking_average_precision_score  # a second: only where scored

    predicted, expected = _marks(predictions, references, labels)
    scores = _set_scores(predicted, expected, labels)
    ranked = np.asarray(ranking, dtype=np.float64).reshape(len(expected), len(labels))
    return {"lrap": float(label_ranking_average_precision_score(expected, ranked)), **scores}


class _SetMetric(LocalMetric):
    """Reads rows of lists of label names; `labels` names all there are."""

    _inputs = "predictions and references: a list of label names for each row."
    _kinds: Sequence[Any] = (List(Value("string")),)
    _names: Sequence[str]

    def __init__(self, labels: Sequence[str], **options: Any) -> None:
        self.labels = labels
        super().__init__(**options)

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Scores:
        scores = _set_scores(*_marks(predictions, references, self.labels), self.labels)
        return {name: scores[name] for name in self._names}


class MultiLabelF1(_SetMetric):
    """F1 of sets of labels: micro, macro, weighted, the mean over rows (samples), and by label.

    >>> MultiLabelF1(labels=["a", "b"]).compute(predictions=[["a"]], references=[["a"]])["micro_f1"]
    1.0
    """

    _names = ("micro_f1", "macro_f1", "weighted_f1", "samples_f1", "f1_per_class")


class HammingLoss(_SetMetric):
    """The share of labels, over all rows, that are there and not predicted, or the other way round."""

    _names = ("hamming_loss",)


class LabelRankingAveragePrecision(LocalMetric):
    """LRAP of scores, `(rows, labels)`, in the order of `labels` (Schapire and Singer 2000); 1 is best.

    >>> LabelRankingAveragePrecision(labels=["a", "b"]).compute(predictions=[[0.9, 0.2]], references=[["a"]])
    {'lrap': 1.0}
    """

    _inputs = "predictions: a number for each label of each row; references: a list of label names for each row."

    def __init__(self, labels: Sequence[str], **options: Any) -> None:
        self.labels = labels
        super().__init__(**options)

    def _features(self) -> list[Features]:
        return [Features(predictions=List(Value("float64")), references=List(Value("string")))]

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[Sequence[str]]) -> Scores:
        scores = multi_label_scores([[] for _ in references], references, self.labels, predictions)
        return {"lrap": scores["lrap"]}


def _marks(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """What is predicted and what is true as `(rows, labels)` of 0 and 1."""
    check_lengths(predictions, references)
    places = {label: place for place, label in enumerate(labels)}
    found = []
    for rows in (predictions, references):
        marks = np.zeros((len(rows), len(labels)), dtype=int)
        for row, names in enumerate(rows):
            for name in names:
                if name not in places:
                    raise ValueError(f"label {name!r} is not one of the {len(labels)} labels")
                marks[row, places[name]] = 1
        found.append(marks)
    return found[0], found[1]


def _set_scores(predicted: np.ndarray, expected: np.ndarray, names: Sequence[str]) -> Scores:
    from sklearn.metrics import f1_score, hamming_loss, precision_recall_fscore_support

    scores: Scores = {}
    for average in ("micro", "macro", "weighted"):
        means = precision_recall_fscore_support(expected, predicted, average=average, zero_division=0)[:3]
        for name, mean in zip(("precision", "recall", "f1"), means, strict=True):
            scores[f"{average}_{name}"] = float(mean)
    # A row without labels that is given none is right.
    scores["samples_f1"] = float(f1_score(expected, predicted, average="samples", zero_division=1))
    scores["hamming_loss"] = float(hamming_loss(expected, predicted))
    scores["exact_match"] = float((expected == predicted).all(axis=1).mean())
    columns = precision_recall_fscore_support(expected, predicted, average=None, zero_division=0)[:3]
    for name, column in zip(("precision", "recall", "f1"), columns, strict=True):
        scores[f"{name}_per_class"] = {str(label): float(value) for label, value in zip(names, column, strict=True)}
    return scores
