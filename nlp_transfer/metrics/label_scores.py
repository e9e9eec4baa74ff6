"""Scores of predicted labels: of one label a row, and of labels on an ordered scale."""

from __future__ import annotations

from collections.abc import Sequence
from operator import eq
from typing import Any

from nlp_transfer.metrics.paired_rows import check_lengths
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
    scores = label_scores(predictions, references, labels)
    return {name: scores[name] for name in _REPORTED}


def sentiment_scores(predictions: Sequence[str], references: Sequence[str], labels: Sequence[str]) -> Scores:
    """The scores of a classifier, and its distance on the scale: `mae_steps` and `quadratic_kappa`.

    `labels` are in order, lowest first. Raises as `classification_scores` does.

    >>> sentiment_scores(["low", "high"], ["low", "mid"], labels=["low", "mid", "high"])["mae_steps"]
    0.5
    """
    return {
        **classification_scores(predictions, references, labels),
        **scale_scores(predictions, references, labels),
    }


def label_scores(predictions: Sequence[Any], references: Sequence[Any], labels: Sequence[Any]) -> Scores:
    """Every score of unordered labels, those that `classification_scores` leaves out too; it raises alike."""
    from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support  # a second: only where scored

    predicted, expected = _ranks(predictions, references, labels)
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
        scores[f"{name}_per_class"] = {str(labels[i]): float(value) for i, value in zip(present, column, strict=True)}
    return scores


def scale_scores(predictions: Sequence[Any], references: Sequence[Any], labels: Sequence[Any]) -> Scores:
    """Mean absolute error in steps, and Cohen's kappa, of labels in order, lowest first.

    `mae_steps` is the mean distance, in places, of the predicted from the true label. `quadratic_kappa` is Cohen's
    kappa with quadratic weights (Cohen 1968); where all rows, predicted and true, hold one and the same label it is
    undefined, and 0.0 here. Raises as `classification_scores` does.
    """
    from sklearn.metrics import cohen_kappa_score  # a second: only where scored

    predicted, expected = _ranks(predictions, references, labels)
    present = {*predicted, *expected}
    scale = list(range(min(present), max(present) + 1))  # a level that no row holds is still a step
    kappa = cohen_kappa_score(expected, predicted, labels=scale, weights="quadratic") if len(scale) > 1 else 0.0
    steps = sum(abs(p - e) for p, e in zip(predicted, expected, strict=True))
    return {"mae_steps": steps / len(expected), "quadratic_kappa": float(kappa)}


def _ranks(predictions: Sequence[Any], references: Sequence[Any], labels: Sequence[Any]) -> tuple[list[int], list[int]]:
    """The place in `labels` of every predicted and every true label."""
    check_lengths(predictions, references)
    places = {label: place for place, label in enumerate(labels)}
    for label in (*predictions, *references):
        if label not in places:
            raise ValueError(f"label {label!r} is not one of the {len(labels)} labels")
    return [places[label] for label in predictions], [places[label] for label in references]
