"""Rows are picked among the uncertain ones, unlike each other, and more of labels that are rare."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.labelling.picking import balancing_weights, pick


def heaps(count=4, size=30, width=6):
    """Vectors in heaps that are far from each other, and the heap of each."""
    random = np.random.default_rng(3)
    centres = 5 * np.eye(count, width)
    return np.repeat(centres, size, axis=0) + random.normal(0, 0.1, (count * size, width)), np.repeat(
        range(count), size
    )


def test_the_first_rows_come_from_all_heaps_and_lie_in_their_middle():
    vectors, heap = heaps()
    picked = pick(vectors, np.arange(len(vectors)), 4)
    assert sorted(heap[picked]) == [0, 1, 2, 3]
    for place in picked:
        same = vectors[heap == heap[place]]
        away = np.linalg.norm(same - same.mean(axis=0), axis=1)
        assert np.linalg.norm(vectors[place] - same.mean(axis=0)) <= np.sort(away)[2]


def test_later_rows_are_of_the_most_uncertain_third_that_is_free():
    vectors, _ = heaps()
    uncertainty = np.random.default_rng(0).permutation(len(vectors)) / len(vectors)
    free = np.arange(30, 120)
    picked = pick(vectors, free, 12, uncertainty)
    assert len(set(picked.tolist())) == 12
    assert set(picked.tolist()) <= set(free[np.argsort(-uncertainty[free])[:30]].tolist())


@pytest.mark.parametrize("count", [0, 1, 29, 30, 31, 119, 120, 500])
def test_as_many_rows_are_picked_as_there_are_to_pick(count):
    vectors, _ = heaps()
    for uncertainty in (None, np.ones(120), np.zeros(120)):
        picked = pick(vectors, np.arange(120), count, uncertainty) if count else np.array([])
        assert len(set(picked.tolist())) == len(picked) == min(count, 120)


def test_texts_that_are_all_alike_are_picked_too():
    picked = pick(np.ones((40, 3)), np.arange(40), 7, np.ones(40))
    assert len(set(picked.tolist())) == 7


def test_the_same_seed_picks_the_same_rows():
    vectors, _ = heaps()
    assert (pick(vectors, np.arange(120), 9, seed=1) == pick(vectors, np.arange(120), 9, seed=1)).all()


def test_rare_labels_weigh_more_and_get_more_rows():
    kinds = np.repeat([0, 1], 60)
    weights = balancing_weights(kinds, np.array([0] * 60 + [1] * 3), 2)
    assert weights[0] < 1 < weights[-1]
    assert (balancing_weights(kinds, np.array([0, 1]), 2) == 1).all()
    vectors = np.random.default_rng(0).normal(size=(120, 2)) + 3 * kinds[:, None]
    plain = kinds[pick(vectors, np.arange(120), 20)].sum()
    assert kinds[pick(vectors, np.arange(120), 20, weights=np.where(kinds, 8.0, 0.125))].sum() > plain


def test_no_row_is_picked_where_none_is_wanted():
    assert len(pick(np.eye(5), np.arange(5), 0, np.ones(5))) == 0
