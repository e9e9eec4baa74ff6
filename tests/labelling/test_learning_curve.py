"""A curve scores rows by heads that have not seen them, and its forecast holds where the power law does."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.few_labels.label_head import fit_label_head
from nlp_transfer.labelling import learning_curve as module
from nlp_transfer.labelling.learning_curve import Curve, learning_curve, points_of


def clouds(count, seed=0, width=12, noise=1.0):
    random = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    return random.normal(0, noise, (count, width)) + 1.2 * np.eye(2, width)[targets], targets


def test_heads_that_learn_from_more_rows_are_better_and_sizes_grow():
    vectors, targets = clouds(160)
    check, check_targets = clouds(60, seed=1)
    curve = learning_curve(vectors, targets, check, check_targets, 2, None, seed=0)
    assert curve.sizes.tolist() == [20, 40, 80, 160]
    assert curve.held_out.shape == (160, 4)
    assert curve.check.shape == (60, 4)
    points = points_of(curve)
    assert points[-1].held_out.score > points[0].held_out.score
    for point in points:
        for score in (point.check, point.held_out):
            assert 0 <= score.low <= score.score <= score.high <= 1
            assert score.low < score.high
    assert points[0].check.high - points[0].check.low > points[0].held_out.high - points[0].held_out.low


def test_no_head_has_seen_the_rows_that_it_is_scored_on(monkeypatch):
    seen = []

    def fit(vectors, targets, count, texts):
        seen.append(set(vectors[:, 0].tolist()))
        return fit_label_head(vectors, targets, count, texts)

    vectors, targets = clouds(64)
    monkeypatch.setattr(module, "head_for", fit)
    curve = learning_curve(vectors, targets, vectors[:0], targets[:0], 2, None, seed=0)
    assert [len(rows) for rows in seen] == [8, 16, 32] * 6 + [64]
    assert points_of(curve)[0].check is None
    # A row that all heads of a size have learned from is scored by none.
    for place, size in enumerate(curve.sizes[:-1]):
        of_size = [rows for rows in seen if len(rows) == size]
        always = {value for value in vectors[:, 0].tolist() if all(value in rows for rows in of_size)}
        assert set(vectors[np.isnan(curve.held_out[:, place]), 0].tolist()) == always


@pytest.mark.parametrize("count", [12, 13, 20, 33])
def test_few_rows_have_a_curve_too(count):
    vectors, targets = clouds(count)
    curve = learning_curve(vectors, targets, vectors[:1], targets[:1], 3, None, seed=0)
    assert len(set(curve.sizes.tolist())) == len(curve.sizes) >= 2
    assert all(point.held_out.low <= point.held_out.high for point in points_of(curve))


def test_all_right_of_few_rows_is_not_taken_for_sure():
    (point,) = points_of(Curve(np.array([5]), np.ones((5, 1)), np.ones((3, 1))))
    assert point.check.high == 1
    assert point.check.low < 0.6
