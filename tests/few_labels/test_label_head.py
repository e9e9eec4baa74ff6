"""A head of few rows: rows left out are those of a refit, label texts help where rows are few, and can be left out."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.few_labels import label_head
from nlp_transfer.few_labels.label_head import LabelVectors, fit_label_head


def made(rows: int, labels: int = 3, width: int = 20, noise: float = 1.0, seed: int = 0):
    """Vectors around a centre for each label, label ids, the texts of labels, and 300 further rows."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(labels, width))
    ids = np.arange(rows) % labels
    others = rng.integers(labels, size=300)
    shift = 3 * rng.normal(size=width)  # by which label texts differ from rows as a whole
    texts = LabelVectors(centres + shift + 0.3 * rng.normal(size=centres.shape), np.arange(labels))
    around = lambda ids: centres[ids] + noise * rng.normal(size=(len(ids), width))  # noqa: E731
    return around(ids), ids, texts, around(others), others


@pytest.mark.parametrize("with_texts", [False, True])
def test_what_is_left_out_is_what_a_fit_without_the_row_gives(monkeypatch, with_texts):
    vectors, ids, texts, *_ = made(9)
    monkeypatch.setattr(label_head, "_PRIORS", (2.0 if with_texts else 0.0,))
    fits = list(label_head._fits(vectors, np.eye(3)[ids], texts, 1.0, label_head._PRIORS[0], is_balanced=False))
    for row in range(len(vectors)):
        rest = np.arange(len(vectors)) != row
        without = label_head._fits(
            vectors[rest], np.eye(3)[ids[rest]], texts, 1.0, label_head._PRIORS[0], is_balanced=False
        )
        for fit, refit in zip(fits, without, strict=True):
            value = np.append(vectors[row], [label_head._CONSTANT, 0.0]) @ refit.weights
            np.testing.assert_allclose(fit.held_out[row], value, rtol=1e-6, atol=1e-8)


def accuracy(head, vectors, ids) -> float:
    return float((head.logits(vectors).argmax(1) == ids).mean())


def test_label_texts_help_where_rows_are_few():
    gains = []
    for seed in range(5):
        vectors, ids, texts, others, answers = made(6, noise=2.0, seed=seed)
        head = fit_label_head(vectors, ids, 3, texts)
        gains.append(accuracy(head, others, answers) - accuracy(fit_label_head(vectors, ids, 3), others, answers))
    assert np.mean(gains) > 0.05


def test_texts_that_mislead_are_left_out_or_count_little():
    losses = []
    for seed in range(5):
        vectors, ids, texts, others, answers = made(60, noise=1.5, seed=seed)
        wrong = LabelVectors(texts.vectors[[1, 2, 0]], texts.labels)
        head = fit_label_head(vectors, ids, 3, wrong)
        assert head.prior <= 1
        losses.append(accuracy(fit_label_head(vectors, ids, 3), others, answers) - accuracy(head, others, answers))
    assert np.mean(losses) < 0.01


def test_a_label_without_a_row_is_known_by_its_text():
    vectors, ids, texts, others, answers = made(12, noise=0.5)
    known = ids != 2
    head = fit_label_head(vectors[known], ids[known], 3, texts)
    assert accuracy(head, others[answers == 2], 2) > 0.5


def test_several_texts_of_a_label_count_together():
    vectors, ids, texts, others, _ = made(12)
    twice = LabelVectors(np.repeat(texts.vectors, 2, axis=0), np.repeat(texts.labels, 2))
    one, two = fit_label_head(vectors, ids, 3, texts), fit_label_head(vectors, ids, 3, twice)
    np.testing.assert_allclose(one.logits(others), two.logits(others), rtol=1e-6, atol=1e-8)


def test_probabilities_are_about_as_right_as_they_say():
    gaps = []
    for seed in range(8):
        vectors, ids, texts, others, answers = made(48, noise=2.5, seed=seed)
        logits = fit_label_head(vectors, ids, 3, texts).logits(others)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        gaps.append(shares.max(1).mean() - (shares.argmax(1) == answers).mean())
    assert abs(np.mean(gaps)) < 0.06


def test_several_labels_a_row():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(3, 20))
    there = rng.random((60, 3)) < 0.4
    vectors = there @ directions + 0.5 * rng.normal(size=(60, 20))
    more = rng.random((200, 3)) < 0.4
    head = fit_label_head(vectors, there.astype(np.float32), 3, LabelVectors(directions, np.arange(3)))
    guessed = head.logits(more @ directions + 0.5 * rng.normal(size=(200, 20))) > 0
    assert (guessed == more).mean() > 0.9


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_so_few_rows_as_one_give_finite_logits(rows):
    vectors, ids, texts, others, _ = made(rows)
    head = fit_label_head(vectors, ids, 3, texts)
    assert np.isfinite(head.logits(others)).all()
    assert np.isfinite(fit_label_head(vectors, ids, 3).logits(others)).all()


def test_rows_that_are_all_alike_give_finite_logits():
    head = fit_label_head(np.ones((4, 5)), np.array([0, 1, 0, 1]), 2)
    assert np.isfinite(head.logits(np.ones((1, 5)))).all()


def test_the_scale_of_vectors_does_not_matter():
    vectors, ids, texts, others, _ = made(12)
    small = fit_label_head(vectors / 100, ids, 3, LabelVectors(texts.vectors / 100, texts.labels))
    np.testing.assert_allclose(
        small.logits(others / 100), fit_label_head(vectors, ids, 3, texts).logits(others), rtol=1e-5, atol=1e-6
    )
