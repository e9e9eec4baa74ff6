"""A linear layer takes over probabilities, and stays near its start where rows are few."""

from __future__ import annotations

import numpy as np

from nlp_transfer.few_labels.soft_layer import cosine_layer, fit_soft_layer
from nlp_transfer.few_labels.text_view import centre_of, centred, softmax, unit


def test_it_gives_the_probabilities_of_a_layer():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 6)) * 2 + 3
    weight, bias = rng.normal(size=(3, 6)) * 0.3, rng.normal(size=3)
    wanted = softmax(vectors @ weight.T + bias)
    found_weight, found_bias = fit_soft_layer(vectors, wanted, (np.zeros((3, 6)), np.zeros(3)))
    found = softmax(vectors @ found_weight.T + found_bias)
    assert np.abs(found - wanted).mean() < 0.02
    assert np.mean(found.argmax(axis=1) == wanted.argmax(axis=1)) > 0.97


def test_few_rows_leave_the_start_nearly_as_it_is():
    rng = np.random.default_rng(0)
    vectors, weight = rng.normal(size=(3, 40)), rng.normal(size=(2, 40))
    start = weight, np.zeros(2)
    against = softmax(-vectors @ weight.T)
    found, _ = fit_soft_layer(vectors, against, start)
    assert np.linalg.norm(found - weight) < 0.3 * np.linalg.norm(weight)
    many = np.tile(vectors, (1000, 1))
    moved, _ = fit_soft_layer(many, np.tile(against, (1000, 1)), start)
    assert np.linalg.norm(moved - weight) > 1.3 * np.linalg.norm(found - weight)


def test_the_layer_of_cosines_ranks_labels_as_cosines_do():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 30)) + 1
    centre, anchors = centre_of(vectors), unit(rng.normal(size=(4, 30)))
    weight, bias = cosine_layer(vectors, anchors, centre, 10.0)
    cosines = centred(vectors, centre) @ anchors.T
    logits = vectors @ weight.T + bias
    assert np.mean(logits.argmax(axis=1) == cosines.argmax(axis=1)) > 0.9
    assert np.corrcoef(logits.ravel(), cosines.ravel())[0, 1] > 0.95
    assert 5 < np.polyfit(cosines.ravel(), logits.ravel(), 1)[0] < 15
