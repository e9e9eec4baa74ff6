"""Confidence in a ranking of encoders, by bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlp_transfer.metrics import RowCounts, scores_of_draws


def counts_of(predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray, outside: int | None = None) -> RowCounts:
    """What each group adds to `score`; words of a sentence are drawn together, as they are not independent.

    Accuracy; with `outside`, the label of words in no entity, F1 of the other words, since to find no entity at all
    would be accurate. `predicted`, `labels` and `groups` are ids `(items,)`.
    """
    gold, found = labels != outside, predicted != outside
    right = 2.0 * (gold & (predicted == labels))
    parts = np.zeros((int(groups.max()) + 1, 2))
    np.add.at(parts, groups, np.stack([right, gold.astype(float) + found], axis=1))
    return RowCounts(parts, lambda sums: {"score": sums[:, 0] / sums[:, 1]})


def shares_first(candidates: Sequence[RowCounts], seed: int = 0) -> list[float]:
    """Of each candidate the share of draws in which it is first; those that are first together share a draw."""
    scores = scores_of_draws(candidates, seed=seed)["score"]
    first = scores == scores.max(axis=1, keepdims=True)
    return list(map(float, (first / first.sum(axis=1, keepdims=True)).mean(axis=0)))
