"""NLEEP: the likelihood of the labels, given the clusters of the features."""

from __future__ import annotations

import warnings

import numpy as np

_ENERGY = 0.8  # share of the variance that the principal components keep
_CLUSTERS_A_LABEL = 5
_ITEMS_A_CLUSTER = 10
_MOST_COMPONENTS = 64


def nleep(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """NLEEP (Li et al. 2021, "Ranking neural checkpoints"): LEEP with clusters in place of a source's classes.

    Principal components that keep 80% of the variance (64 at most), and a mixture of Gaussians on them, five a label.
    Where items are few there are fewer Gaussians, ten items each, and their covariances are diagonal: the paper's own
    would be fitted to next to nothing. `features` are `(items, width)`, `labels` ids `(items,)`.
    """
    from sklearn.decomposition import PCA  # a second to load
    from sklearn.mixture import GaussianMixture

    reduced = PCA(min(_MOST_COMPONENTS, *features.shape), random_state=seed).fit(features.astype(np.float64))
    kept = 1 + int(np.searchsorted(np.cumsum(reduced.explained_variance_ratio_), _ENERGY))
    points = reduced.transform(features.astype(np.float64))[:, :kept]
    points /= max(points.std(), 1e-12)  # the mixture's floor of variance is in absolute units
    clusters = min(_CLUSTERS_A_LABEL * len(np.unique(labels)), max(2, len(labels) // _ITEMS_A_CLUSTER), len(labels))
    mixture = GaussianMixture(clusters, covariance_type="diag", reg_covar=1e-3, max_iter=50, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mixture that has not quite converged
        return leep(mixture.fit(points).predict_proba(points), labels)


def leep(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """The mean log likelihood of labels under `p(y | x) = sum_z p(y | z) p(z | x)` (Nguyen et al. 2020, LEEP).

    `posteriors` are p(z | x), `(items, clusters)`; p(y | z) is that of the items themselves.
    """
    marks = (labels[:, None] == np.unique(labels)).astype(np.float64)
    joint = posteriors.T @ marks / len(labels)  # p(z, y)
    conditional = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)
    likelihood = ((posteriors @ conditional) * marks).sum(axis=1)
    return float(np.log(np.maximum(likelihood, 1e-300)).mean())
