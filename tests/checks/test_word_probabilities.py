"""Words tell labels of texts that were not learned from, and no row is judged by itself."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.checks import word_probabilities
from nlp_transfer.checks.word_probabilities import chances_by_words, pooled


def folds(rows):
    return [(np.flatnonzero(np.arange(rows) % 2 != i), np.flatnonzero(np.arange(rows) % 2 == i)) for i in range(2)]


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("most", [1, 20])
def test_words_tell_labels_and_rows_sum_to_one(labels, most, monkeypatch):
    monkeypatch.setattr(word_probabilities, "_MOST_LABELS", most)
    targets = np.repeat(np.arange(labels), 12)
    texts = [f"so {('good', 'bad', 'middling')[label]} it was {i}" for i, label in enumerate(targets)]
    targets[5] = (targets[5] + 1) % labels
    chances = chances_by_words(texts, targets, folds(len(texts)))
    assert np.allclose(chances.sum(axis=1), 1)
    assert (chances.argmax(axis=1) != targets).nonzero()[0].tolist() == [5]


@pytest.mark.filterwarnings("ignore:Number of classes")  # as `suspects` ignores it
def test_a_label_whose_one_text_is_judged_is_no_reason_to_stop():
    targets = np.array(
        [0, 1] * 6 + [2, 2]
    )  # all texts of label 0 are judged in one fold, those of label 1 in the other
    chances = chances_by_words([f"w{i % 2} x" for i in range(14)], targets, folds(14))
    assert np.isfinite(chances).all()


def test_pooling_is_the_mean_of_log_odds():
    one, other = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    odds = np.sqrt(9 * 0.25)
    assert pooled([one, other]) == pytest.approx(np.array([[odds, 1.0]]) / (odds + 1))
    assert np.isfinite(pooled([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])])).all()
