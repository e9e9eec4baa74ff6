"""How sure is it that one encoder is better than another?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 1000


def parts_of_score(
    predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray, outside: int | None = None
) -> np.ndarray:
    """What each group adds to a score, `(groups, 2)`: the score is the sum of the first by that of the second.

    Accuracy; with `outside`, the label of words in no entity, F1 of the other words, since to find no entity at all
    would be accurate. `predicted`, `labels` and `groups` are ids `(items,)`.
    """
    gold, said = labels != outside, predicted != outside
    right = 2.0 * (gold & (predicted == labels))
    parts = np.zeros((int(groups.max()) + 1, 2))
    np.add.at(parts, groups, np.stack([right, gold.astype(float) + said], axis=1))
    return parts


def score(parts: np.ndarray) -> float:
    """The score of the parts `(groups, 2)` of one candidate."""
    right, total = parts.sum(axis=0)
    return float(right / total) if total else 0.0


def bootstrap(candidates: Sequence[np.ndarray], seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Scores `(draws, candidates)` on groups drawn with replacement (Efron 1979), the same for all candidates.

    Words of a sentence are drawn together, as they are not independent.
    """
    groups = len(candidates[0])
    weights = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws)
    sums = np.stack([weights @ parts for parts in candidates], axis=1)
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-12)


def interval(scores: np.ndarray) -> tuple[float, float]:
    """The middle 95% of one candidate's draws."""
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(low), float(high)


def shares_first(scores: np.ndarray) -> list[float]:
    """Of each candidate the share of draws in which it is first; those that are first together share a draw."""
    first = scores == scores.max(axis=1, keepdims=True)
    return list(map(float, (first / first.sum(axis=1, keepdims=True)).mean(axis=0)))
