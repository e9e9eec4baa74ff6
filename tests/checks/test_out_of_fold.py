"""Rows are judged by what was fitted to others, and a fold that teaches one label alone is no reason to stop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from nlp_transfer.checks.out_of_fold import FOLDS, folds_of, out_of_fold


def test_probabilities_are_those_of_scikit_learn_and_groups_stay_together():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 20, 60)
    targets = groups % 3
    features = rng.normal(size=(60, 4)) + targets[:, None]
    folds = folds_of(targets, groups, seed=0)
    assert len(folds) == FOLDS
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(60))
    assert not any(np.isin(groups[judged], groups[learned]).any() for learned, judged in folds)
    theirs = cross_val_predict(LogisticRegression(), features, targets, cv=folds, method="predict_proba")
    assert out_of_fold(LogisticRegression(), features, targets, folds) == pytest.approx(theirs)


def test_where_all_rows_learned_from_have_one_label_it_is_expected():
    targets, rows = np.array([0, 0, 0, 1, 1]), np.arange(5)
    folds = [(rows[:3], rows[3:]), (rows[2:], rows[:2]), (rows[[0, 4]], rows[2:3])]
    chances = out_of_fold(LogisticRegression(), rows[:, None], targets, folds)
    assert chances[3:].tolist() == [[1, 0], [1, 0]]
    assert np.allclose(chances.sum(axis=1), 1)
    assert (chances[:3] < 1).all()
