"""Scores of predicted sets of labels, where a text may have several, or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlp_transfer.metrics.paired_rows import check_lengths
from nlp_transfer.types import Scores


def multi_label_scores(
    predictions: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    labels: Sequence[str],
    ranking: Sequence[Sequence[float]],
) -> Scores:
    """F1 in four averages and by label, precision and recall, Hamming loss, exact matches, and LRAP.

    `ranking` is `(rows, labels)`, higher for likelier labels, and only LRAP (Schapire and Singer 2000) is computed from
    it. Samples F1 is the mean over rows, where a row without labels and without predicted ones scores 1; F1 of a label
    that is neither true nor predicted anywhere is 0. Raises ValueError if lengths differ, there are no rows, or a label
    is unknown.

    >>> multi_label_scores([["a"]], [["a", "b"]], ["a", "b"], [[0.9, 0.2]])["hamming_loss"]
    0.5
    """
    from sklearn.metrics import label_ranking_average_precision_score  # a second: only where scored

    scores = label_set_scores(predictions, references, labels)
    ranked = np.asarray(ranking, dtype=np.float64).reshape(len(references), len(labels))
    return {"lrap": float(label_ranking_average_precision_score(_marks(references, labels), ranked)), **scores}


def label_set_scores(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], labels: Sequence[str]
) -> Scores:
    """The scores of `multi_label_scores` that need no ranking of the labels; it raises alike."""
    from sklearn.metrics import f1_score, hamming_loss, precision_recall_fscore_support  # a second: only where scored

    check_lengths(predictions, references)
    predicted, expected = _marks(predictions, labels), _marks(references, labels)
    scores: Scores = {}
    for average in ("micro", "macro", "weighted"):
        means = precision_recall_fscore_support(expected, predicted, average=average, zero_division=0)[:3]
        for name, mean in zip(("precision", "recall", "f1"), means, strict=True):
            scores[f"{average}_{name}"] = float(mean)
    # A row without labels, for which none is predicted, is right.
    scores["samples_f1"] = float(f1_score(expected, predicted, average="samples", zero_division=1))
    scores["hamming_loss"] = float(hamming_loss(expected, predicted))
    scores["exact_match"] = float((expected == predicted).all(axis=1).mean())
    columns = precision_recall_fscore_support(expected, predicted, average=None, zero_division=0)[:3]
    for name, column in zip(("precision", "recall", "f1"), columns, strict=True):
        scores[f"{name}_per_class"] = {str(label): float(value) for label, value in zip(labels, column, strict=True)}
    return scores


def _marks(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """The label sets of rows as `(rows, labels)` of 0 and 1."""
    places = {label: place for place, label in enumerate(labels)}
    marks = np.zeros((len(rows), len(labels)), dtype=int)
    for row, names in enumerate(rows):
        for name in names:
            if name not in places:
                raise ValueError(f"label {name!r} is not one of the {len(labels)} labels")
            marks[row, places[name]] = 1
    return marks
