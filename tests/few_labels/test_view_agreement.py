"""Two halves agree where label texts mean something in the texts, and not beyond chance where they do not."""

from __future__ import annotations

import dataclasses

import numpy as np
from made_views import accuracy, made_view
from sklearn.metrics import cohen_kappa_score

from nlp_transfer.few_labels.text_view import TextView
from nlp_transfer.few_labels.view_agreement import agreements, corrected_accuracy, kappa

LEARNERS = {"label texts": TextView.nearest_labels}


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, size=200), rng.integers(4, size=200)
    second[:100] = first[:100]
    assert np.isclose(kappa(first, second), cohen_kappa_score(first, second))


def test_one_label_for_all_tells_nothing():
    assert kappa(np.zeros(9, int), np.zeros(9, int)) == 0.0


def test_label_texts_that_mean_something_agree():
    view, _ = made_view(500, noise=0.5, misled=0.5)
    assert agreements(view, LEARNERS)["label texts"].kappa > 0.5


def test_texts_of_labels_that_are_mixed_up_do_not_agree():
    view, _ = made_view(500, noise=0.5, misled=0.5)
    mixed = dataclasses.replace(view, owners=np.arange(len(view.owners)) % 3)
    assert abs(agreements(mixed, LEARNERS)["label texts"].kappa) < 0.3


def test_kappa_tells_the_accuracy_that_nobody_sees():
    for noise, misled in ((1.5, 1.0), (2.5, 1.5), (3.5, 2.0)):
        view, labels = made_view(1500, noise=noise, misled=misled)
        found = corrected_accuracy(agreements(view, LEARNERS)["label texts"].kappa)
        right = accuracy(view.nearest_labels(), labels)
        assert abs(1 / 3 + 2 / 3 * found - right) < 0.2


def test_the_same_seed_gives_the_same():
    view, _ = made_view()
    assert agreements(view, LEARNERS, seed=3) == agreements(view, LEARNERS, seed=3)
