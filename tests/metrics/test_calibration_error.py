"""Scores of probabilities follow their formulas, on cases small enough to do by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from nlp_transfer.metrics.calibration_error import (
    adaptive_calibration_error,
    brier_score,
    expected_calibration_error,
    reliability,
    tempered,
)


def test_the_calibration_error_is_what_a_hand_makes_of_it():
    said, right = [0.95, 0.9, 0.65, 0.6], [True, True, False, True]
    # Two bins hold rows: 0.925 was said where all is right, 0.625 where half is.
    assert expected_calibration_error(said, right, bins=5) == pytest.approx((2 * 0.075 + 1 * 0.65 + 1 * 0.4) / 4)
    assert expected_calibration_error(said, right, bins=2) == pytest.approx(0.775 - 0.75)
    assert adaptive_calibration_error(said, right, bins=2) == pytest.approx((2 * 0.075 + 2 * 0.125) / 4)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0


def test_bins_hold_every_row_once_and_an_edge_belongs_below():
    bins = reliability(np.linspace(0, 1, 31), np.ones(31))
    assert sum(b.rows for b in bins) == 31
    assert [b.rows for b in bins] == [3] + [2] * 14
    assert reliability([0.5], [1], bins=2)[0].rows == 1


def test_what_is_drawn_from_its_probabilities_is_calibrated():
    chance = np.random.default_rng(0)
    said = chance.uniform(0.2, 1, 40_000)
    right = chance.uniform(size=40_000) < said
    assert expected_calibration_error(said, right) < 0.01
    assert adaptive_calibration_error(said, right) < 0.01
    assert expected_calibration_error(np.minimum(said + 0.2, 1), right) > 0.1


def test_the_brier_score_of_two_labels_is_twice_that_of_one():
    chance = np.random.default_rng(0)
    yes, there = chance.uniform(size=50), chance.integers(0, 2, 50)
    both = np.stack([1 - yes, yes], axis=1)
    assert brier_score(both, there) == pytest.approx(2 * brier_score_loss(there, yes))
    assert brier_score(both, np.eye(2)[there]) == brier_score(both, there)
    assert brier_score([[1.0, 0.0]], [1]) == 2


def test_a_temperature_is_that_of_the_logits():
    logits = np.random.default_rng(0).normal(size=(20, 4)) * 5
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cooler = np.exp(logits / 2.5) / np.exp(logits / 2.5).sum(axis=1, keepdims=True)
    assert np.allclose(tempered(soft, 2.5), cooler)
    assert np.allclose(tempered(soft, 1.0), soft)
    assert (tempered(soft, 9.0).argmax(axis=1) == soft.argmax(axis=1)).all()
    assert np.allclose(tempered([[1.0, 0.0]], 3.0).sum(), 1)


@pytest.mark.parametrize(("said", "right"), [([], []), ([0.5], [1, 0]), ([1.5], [1]), ([float("nan")], [1])])
def test_what_cannot_be_scored_is_refused(said, right):
    with pytest.raises(ValueError, match=r"row|\[0, 1\]"):
        expected_calibration_error(said, right)
    if len(said) != len(right) or not said:
        with pytest.raises(ValueError, match="rows of probabilities"):
            brier_score([[p, 1 - p] for p in said], right)
