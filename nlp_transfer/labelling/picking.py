"""Which rows to label next: uncertain ones, unlike each other, of all labels."""

from __future__ import annotations

import warnings

import numpy as np

_SHARE = 1 / 3  # of the rows, the most uncertain ones, among which clusters are sought
_EXACT = 100  # clusters up to which plain k-means is quick enough
_ROUNDS = 20
_MOST_CANDIDATES = 20_000  # beyond, clusters of a random part of them are as good, and their search stays quick


def pick(
    vectors: np.ndarray,
    free: np.ndarray,
    count: int,
    uncertainty: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """The places of `count` rows to label, out of the places `free` in `vectors` `(rows, width)`.

    Of the free rows the most uncertain third, parted by k-means into as many clusters as rows are wanted; of each
    cluster the row nearest to its centre. Without an `uncertainty` `(rows,)` all free rows are parted: the first rows
    are then typical ones of all there is (Hacohen et al. 2022, "Active learning on a budget"). `weights` `(rows,)`
    draw clusters to where they are great.
    """
    random = np.random.default_rng(seed)
    if count >= len(free) or not count:
        return free[:count]
    candidates = free
    if uncertainty is not None:
        most = max(count, round(_SHARE * len(free)))
        candidates = free[np.argsort(-uncertainty[free], kind="stable")[:most]]
    if len(candidates) > max(_MOST_CANDIDATES, 2 * count):
        candidates = random.choice(candidates, max(_MOST_CANDIDATES, 2 * count), replace=False)
    if count == len(candidates):
        return candidates
    return candidates[_central(vectors[candidates], count, None if weights is None else weights[candidates], random)]


def balancing_weights(kinds: np.ndarray, labelled: np.ndarray, count: int) -> np.ndarray:
    """A weight for each row, by the label that it seems to have: the rarer among the `labelled` ones, the greater."""
    counts = np.bincount(labelled, minlength=count)
    return np.sqrt((counts.mean() + 1) / (counts + 1))[kinds]


def _central(vectors: np.ndarray, count: int, weights: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """The places of the rows that are nearest to the centres of `count` clusters, one a cluster."""
    from sklearn.cluster import KMeans, MiniBatchKMeans  # a second to load

    kind = KMeans if count <= _EXACT else MiniBatchKMeans
    clusters = kind(count, n_init=1, max_iter=_ROUNDS, random_state=int(random.integers(1 << 31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts that are all alike
        clusters.fit(vectors, sample_weight=weights)
    away = ((vectors - clusters.cluster_centers_[clusters.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((away, clusters.labels_))  # by cluster, and in each the nearest first
    _, first = np.unique(clusters.labels_[order], return_index=True)
    central = order[first]
    if len(central) < count:  # clusters that stayed empty
        rest = np.setdiff1d(np.arange(len(vectors)), central)
        central = np.concatenate([central, random.choice(rest, count - len(central), replace=False)])
    return central
