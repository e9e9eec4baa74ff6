"""Co-training finds in words and vectors what label texts leave open, and holds on to these where texts are few."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_views import accuracy, made_view
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

from nlp_transfer.few_labels import cotraining
from nlp_transfer.few_labels.cotraining import cotrained, joint, taught_vectors


def test_it_is_righter_than_label_texts_alone():
    view, labels = made_view(1500, misled=2.5, noise=1.5, texts_of_a_label=2)
    start = view.nearest_labels()
    assert accuracy(cotrained(view, start), labels) > accuracy(start, labels) + 0.05


def test_words_alone_correct_vectors_that_know_nothing():
    view, labels = made_view(1500, misled=2.0, noise=4.0, texts_of_a_label=3)
    start = view.nearest_labels()
    assert accuracy(start, labels) < 0.75
    assert accuracy(cotrained(view, start), labels) > accuracy(start, labels) + 0.1


def test_few_texts_change_little():
    view, _ = made_view(15, misled=2.0, noise=2.0)
    start = view.nearest_labels()
    assert np.abs(cotrained(view, start) - start).max() < 0.2


def test_without_words_it_is_the_start():
    view, _ = made_view()
    bare = dataclasses.replace(view, words=csr_matrix((len(view.vectors), 0)))
    start = bare.nearest_labels()
    assert cotrained(bare, start) is start


def test_probabilities_add_up_to_one():
    view, _ = made_view()
    found = cotrained(view, view.nearest_labels())
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=1), 1)


def test_a_label_that_no_text_has_stays_possible():
    view, labels = made_view(200)
    some = view.rows(np.flatnonzero(labels != 2))
    found = cotrained(some, some.nearest_labels())
    assert found.shape == (len(some.vectors), 3)
    assert np.isfinite(found).all()


def test_the_ridge_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    rows, targets, weights = rng.normal(size=(30, 5)), rng.normal(size=(30, 2)), rng.uniform(0.5, 2, size=30)
    weight, bias = cotraining._ridge(rows, targets, weights)
    spread = (rows - weights @ rows / weights.sum()) * np.sqrt(weights)[:, None]
    penalty = cotraining._RIDGE * (spread**2).sum() / 5
    expected = Ridge(alpha=penalty).fit(rows, targets, sample_weight=weights)
    assert np.allclose(rows @ weight + bias, expected.predict(rows))


def test_the_surest_texts_of_each_label_teach():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.95, 0.05], [0.2, 0.8]])
    places, labels = cotraining._surest(probabilities)
    assert places.tolist() == [0, 2, 3, 4, 5]  # four of five, and the only one of the other label
    assert labels.tolist() == [0, 0, 0, 0, 1]


def test_no_text_teaches_itself_by_its_words():
    view, _ = made_view(12)
    start = np.tile([0.4, 0.3, 0.3], (12, 1))
    start[0] = [0.0, 1.0, 0.0]
    other = start.copy()
    other[0] = [0.0, 0.0, 1.0]
    same_fold = np.arange(12) % cotraining._FOLDS == 0
    by_words = [cotraining._by_words(view, probabilities) for probabilities in (start, other)]
    assert not np.allclose(by_words[0][~same_fold], by_words[1][~same_fold])


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0)])
def test_the_geometric_mean_weighs(weights):
    first, second = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    raw = first ** (weights[0] / sum(weights)) * second ** (weights[1] / sum(weights))
    assert np.allclose(joint((first, weights[0]), (second, weights[1])), raw / raw.sum())


def test_other_texts_are_judged_by_what_was_taught():
    view, labels = made_view(200)
    half = view.rows(np.arange(100))
    said = taught_vectors(half, half.nearest_labels(), view.vectors)
    assert said.shape == (200, 3)
    assert accuracy(said, labels) > 0.9
