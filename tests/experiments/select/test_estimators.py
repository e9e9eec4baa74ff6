"""Each estimator is its paper's formula, on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from nlp_transfer.experiments.select.h_score import between, h_score, trace_ratio
from nlp_transfer.experiments.select.logme import logme
from nlp_transfer.experiments.select.nleep import leep, nleep
from nlp_transfer.experiments.select.probe import probe
from nlp_transfer.experiments.select.ranking import counts_of, shares_first
from nlp_transfer.metrics import interval


def evidence(features: np.ndarray, marks: np.ndarray) -> float:
    """The greatest density of `marks` under N(0, FF'/alpha + I/beta), the integral over all weights, by item."""

    def loss(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = features @ features.T / alpha + np.eye(len(marks)) / beta
        return -float(multivariate_normal.logpdf(marks, np.zeros(len(marks)), covariance))

    starts = [(0.0, 0.0), (2.0, 2.0), (-2.0, 2.0)]
    return -min(minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun
                for start in starts) / len(marks)  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 2), (8, 2), (4, 6)], ids=str)
def test_logme_is_the_greatest_evidence(shape):
    rng = np.random.default_rng(4)
    labels = np.arange(shape[0]) % 2
    features = rng.normal(size=shape) + labels[:, None]
    by_hand = np.mean([evidence(features, (labels == label).astype(float)) for label in (0, 1)])
    if shape[1] > shape[0]:  # noise need not be there, and the evidence has no bound: ours is no less than any found
        assert logme(features, labels) > by_hand - 0.05
    else:
        assert logme(features, labels) == pytest.approx(by_hand, abs=1e-4)


def test_h_score_is_the_trace_of_the_inverse_covariance_times_that_of_the_means():
    # The labels' means are (-2, 0) and (2, 0).
    features, labels = np.array([[-3.0, 1.0], [-1.0, -1.0], [3.0, -1.0], [1.0, 1.0]]), np.array([0, 0, 1, 1])
    covariance = features.T @ features / 4
    assert covariance == pytest.approx(np.array([[5.0, -1.0], [-1.0, 1.0]]))
    assert between(features, labels) == pytest.approx(np.diag([4.0, 0.0]))
    # The inverse is [[1, 1], [1, 5]] / 4, so the trace is 1 / 4 * 4 = 1.
    assert trace_ratio(covariance, between(features, labels)) == pytest.approx(1.0)


def test_shrinkage_of_the_h_score_fades_with_items_and_keeps_it_below_its_bound():
    rng = np.random.default_rng(0)
    labels = np.arange(6000) % 3
    features = rng.normal(size=(6000, 4))
    features[:, 0] += 2 * labels
    centred = features - features.mean(axis=0)
    plain = trace_ratio(centred.T @ centred / len(labels), between(centred, labels))
    assert h_score(features + 7, labels) == pytest.approx(plain, rel=0.02)
    few = rng.normal(size=(20, 200))
    few -= few.mean(axis=0)
    assert trace_ratio(few.T @ few / 20, between(few, labels[:20])) == pytest.approx(2)  # the most there is, of noise
    assert h_score(few, labels[:20]) < 1.5


def test_leep_is_the_log_likelihood_under_the_clusters():
    # p(y=0 | z=0) = (0.9 + 0.8) / (0.9 + 0.8 + 0.1) = 17/18, p(y=0 | z=1) = (0.1 + 0.2) / 1.2 = 1/4
    posteriors = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    by_hand = np.mean(np.log([
        0.9 * 17 / 18 + 0.1 / 4, 0.8 * 17 / 18 + 0.2 / 4, 0.1 * 1 / 18 + 0.9 * 3 / 4
    ]))  # fmt: skip
    assert leep(posteriors, np.array([0, 0, 1])) == pytest.approx(by_hand)
    assert leep(np.eye(2)[[0, 0, 1]], np.array([5, 5, 9])) == pytest.approx(0.0)


def test_nleep_is_the_leep_of_clusters_of_the_principal_components():
    # Ten items each at 0 and at 100 of one direction among four: two Gaussians, which are sure of every item.
    rng = np.random.default_rng(0)
    place = np.repeat([0.0, 100.0], 10)
    features = place[:, None] * np.array([0.5, 0.5, -0.5, 0.5]) + 1e-3 * rng.normal(size=(20, 4))
    labels = np.array([0] * 10 + [0] * 3 + [1] * 7)  # the second cluster is of both
    by_hand = (3 * np.log(0.3) + 7 * np.log(0.7)) / 20
    assert nleep(features, labels) == pytest.approx(by_hand)


def test_h_score_is_shrunk_as_ledoit_and_wolf_say():
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2
    features = rng.normal(size=(12, 3)) * [3, 1, 0.5] + labels[:, None]
    centred = features - features.mean(axis=0)
    found = LedoitWolf(assume_centered=True).fit(centred)
    # Written out: (1 - s) S + s m I, m the mean variance; their s is the spread of x x' about S by that of S about m I.
    plain = centred.T @ centred / 12
    target = np.trace(plain) / 3 * np.eye(3)
    spread = sum(((np.outer(x, x) - plain) ** 2).sum() for x in centred) / 12**2
    shrinkage = min(1, spread / ((plain - target) ** 2).sum())
    assert found.shrinkage_ == pytest.approx(shrinkage)
    within = (1 - shrinkage) * plain + shrinkage * target
    means = (1 - shrinkage) * between(centred, labels)
    assert 0.01 < shrinkage < 0.99
    assert h_score(features, labels) == pytest.approx(np.trace(np.linalg.solve(within, means)))


def test_what_tells_labels_apart_is_worth_more_than_noise_by_every_estimator():
    rng = np.random.default_rng(0)
    labels, groups = np.arange(120) % 3, np.arange(120)
    noise = rng.normal(size=(120, 8))
    apart = noise + 3 * np.eye(3)[labels] @ rng.normal(size=(3, 8))
    for estimate in (logme, h_score, nleep):
        assert estimate(apart, labels) > estimate(noise, labels) + 0.1
        assert estimate(apart, labels) == estimate(apart, labels)

    def right(features):
        return np.mean(probe(features, labels, groups).chances.argmax(axis=1) == labels)

    assert right(apart) > 0.9
    assert right(noise) < 0.5


def test_the_probe_has_seen_no_item_of_the_group_that_it_judges():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 2)  # each text is there twice, with labels that follow from nothing
    labels = np.repeat(rng.integers(0, 2, 60), 2)
    features = np.repeat(rng.normal(size=(60, 80)), 2, axis=0)
    assert np.mean(probe(features, labels, groups).chances.argmax(axis=1) == labels) < 0.7


def test_f1_leaves_out_words_in_no_entity_and_draws_are_of_whole_groups():
    labels, predicted, groups = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    of_words = counts_of(predicted, labels, groups, outside=0)
    assert interval(of_words)["score"].score == pytest.approx(2 * 1 / (2 + 2))  # one right of two said and two there
    assert of_words.counts.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert interval(counts_of(predicted, labels, groups))["score"].score == 0.5


def test_bootstrap_knows_a_difference_from_a_tie():
    rng = np.random.default_rng(0)
    right = (rng.random((3, 400)) < [[0.9], [0.7], [0.7]]).astype(int)
    candidates = [counts_of(row, np.ones(400, int), np.arange(400)) for row in (*right, right[2])]
    assert shares_first(candidates)[0] > 0.99
    assert shares_first(candidates[2:]) == [0.5, 0.5]
    _, low, high = interval(candidates[1])["score"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 400), rel=0.15)
