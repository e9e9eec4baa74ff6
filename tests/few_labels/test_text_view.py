"""A view centres vectors on the raw texts, and two halves of it share neither dimension, word nor label text."""

from __future__ import annotations

import numpy as np
from made_views import made_view

from nlp_transfer.few_labels.text_view import TextView, centre_of, centred


def test_what_all_texts_have_in_common_is_taken_out():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)) + 10
    between = centred(vectors, centre_of(vectors))
    assert np.allclose(np.linalg.norm(between, axis=1), 1)
    assert abs(np.mean(between @ between.T)) < 0.1 < np.mean(vectors @ vectors.T)


def test_halves_share_no_dimension_no_word_and_no_label_text():
    view, _ = made_view(texts_of_a_label=5)
    first, second = view.halves(np.random.default_rng(1))
    assert first.vectors.shape[1] + second.vectors.shape[1] == view.vectors.shape[1]
    assert first.words.shape[1] + second.words.shape[1] == view.words.shape[1]
    assert np.isclose(first.words.sum() + second.words.sum(), view.words.sum())
    assert sorted([*first.owners, *second.owners]) == sorted(view.owners)
    assert set(first.owners) == set(second.owners) == {0, 1, 2}
    assert len(first.vectors) == len(second.vectors) == len(view.vectors)


def test_a_label_with_a_single_text_has_it_in_both_halves():
    view, _ = made_view(texts_of_a_label=1)
    first, second = view.halves(np.random.default_rng(1))
    assert list(first.owners) == list(second.owners) == [0, 1, 2]


def test_texts_without_a_common_word_have_no_words():
    view = TextView.of_texts(["one", "two", "???"], np.eye(3), np.eye(3)[:2], np.array([0, 1]))
    assert view.words.shape == (3, 0)
    assert view.nearest_labels().argmax(axis=1)[:2].tolist() == [0, 1]


def test_a_sample_has_the_same_label_texts():
    view, _ = made_view()
    some = view.sample(20, np.random.default_rng(0))
    assert len(some.vectors) == some.words.shape[0] == 20
    assert some.label_vectors is view.label_vectors
    assert view.sample(1000, np.random.default_rng(0)) is view
