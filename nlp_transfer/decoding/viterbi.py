"""Viterbi decoding of tags (Viterbi 1967, "Error bounds for convolutional codes")."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def decode(log_probabilities: ArrayLike, start: ArrayLike, end: ArrayLike, move: ArrayLike) -> tuple[list[int], float]:
    """The valid sequence of labels with the highest sum of log probabilities, and that sum.

    `log_probabilities` is `(words, labels)`, `start` and `end` are `(labels,)` bools, `move` is `(labels, labels)`
    bools, `move[before][after]`, as `data.tag_schemes.allowed` returns them. Convert those lists to arrays once for
    many sentences. Of sequences with equal sums, that of the most probable label of every word is taken if it is
    valid, else the one that `argmax`, which takes the first label, finds from the last word backwards. A label of
    probability zero (-inf) is taken only where no other is valid. ValueError on NaN, and if no sequence is valid.

    >>> decode([[-1.0, -0.5], [-0.1, -3.0]], [True, True], [True, True], [[True, True], [False, True]])
    ([0, 0], -1.1)
    """
    scores = np.asarray(log_probabilities, dtype=np.float64)
    start, end, move = (np.asarray(flags, dtype=bool) for flags in (start, end, move))
    if not len(scores):
        return [], 0.0
    if not (scores < np.inf).all():
        raise ValueError("log probabilities hold NaN or infinity")
    path = scores.argmax(axis=1)
    if not (start[path[0]] and end[path[-1]] and move[path[:-1], path[1:]].all()):
        path = _best_path(_finite(scores), start, end, move)
    return path.tolist(), float(scores[np.arange(len(path)), path].sum())


def _best_path(
    scores: NDArray[np.float64], start: NDArray[np.bool_], end: NDArray[np.bool_], move: NDArray[np.bool_]
) -> NDArray[np.intp]:
    words, labels = scores.shape
    # Rows are the next labels, so that the search for the best previous label runs along contiguous memory.
    penalty = np.where(move.T, 0.0, -np.inf)
    before = np.zeros((words, labels), dtype=np.intp)
    every = np.arange(labels)
    best = np.where(start, scores[0], -np.inf)
    for word in range(1, words):
        routes = penalty + best
        before[word] = routes.argmax(axis=1)
        best = routes[every, before[word]] + scores[word]
    best = np.where(end, best, -np.inf)
    if best.max() == -np.inf:
        raise ValueError(f"no sequence of {words} labels is possible with these transitions")
    path = np.empty(words, dtype=np.intp)
    path[-1] = best.argmax()
    for word in range(words - 1, 0, -1):
        path[word - 1] = before[word, path[word]]
    return path


def _finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace -inf, which the search uses for invalid transitions, by a score that no other labels make up for."""
    possible = np.isfinite(scores)
    if possible.all():
        return scores
    low, high = (scores[possible].min(), scores[possible].max()) if possible.any() else (0.0, 0.0)
    return np.where(possible, scores, low - len(scores) * (high - low) - 1.0)
