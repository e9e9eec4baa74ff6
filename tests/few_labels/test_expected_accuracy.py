"""Probabilities say no more than what is expected, and labels that are hardly told apart are told of."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from made_views import made_view

from nlp_transfer.few_labels.expected_accuracy import expectation, tempered_to
from nlp_transfer.few_labels.text_view import softmax


def test_a_temperature_brings_probabilities_to_the_accuracy():
    rng = np.random.default_rng(0)
    layer, vectors = (rng.normal(size=(3, 5)) * 4, rng.normal(size=3)), rng.normal(size=(200, 5))
    weight, bias = tempered_to(0.6, layer, vectors)
    logits, before = vectors @ weight.T + bias, vectors @ layer[0].T + layer[1]
    assert softmax(logits).max(axis=1).mean() == pytest.approx(0.6, abs=1e-3)
    assert (logits.argmax(axis=1) == before.argmax(axis=1)).all()


def test_labels_that_are_told_apart_are_no_warning(caplog):
    view, _ = made_view()
    with caplog.at_level(logging.INFO, "nlp_transfer"):
        expected = expectation(view, 0.5, 0.7)
        expected.log()
    assert expected.tells_labels_apart
    assert 0.78 < expected.accuracy < 0.86
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert f"about {expected.accuracy:.0%} of labels, where chance is 33%" in record.getMessage()


def test_labels_that_are_hardly_told_apart_are_one_warning(caplog):
    view, _ = made_view()
    with caplog.at_level(logging.INFO, "nlp_transfer"):
        expected = expectation(view, 0.02, -0.1)
        expected.log()
    assert not expected.tells_labels_apart
    assert expected.accuracy < 0.45
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "hardly tells these labels apart" in record.getMessage()


def test_few_texts_promise_little():
    few, many = made_view(12)[0], made_view(1000)[0]
    assert expectation(few, 0.25, 0.25).beyond_chance < 0.1
    assert 0.4 < expectation(many, 0.25, 0.25).beyond_chance <= 0.5


def test_less_is_expected_where_both_views_begin_at_the_same_texts():
    single, several = made_view(texts_of_a_label=1)[0], made_view(texts_of_a_label=2)[0]
    assert expectation(single, 0.5, 0.5).beyond_chance < expectation(several, 0.5, 0.5).beyond_chance
    assert expectation(single, 0.5, 0.5).is_upper_bound


def test_a_teacher_counts_where_it_is_better():
    view, _ = made_view()
    assert expectation(view, 0.2, 0.2, of_teacher=0.9).beyond_chance == 0.9
    assert expectation(view, 0.5, 0.5, of_teacher=0.2) == expectation(view, 0.5, 0.5)
