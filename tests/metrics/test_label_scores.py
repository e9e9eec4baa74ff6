"""Scores of labels agree with scikit-learn, and with cases worked out by hand."""

import json
import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from nlp_transfer.metrics import classification_scores, sentiment_scores

LEVELS = ["low", "mid", "high", "top"]

label_rows = st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from(LEVELS)), min_size=1, max_size=30)


def columns(rows):
    return [predicted for predicted, _ in rows], [expected for _, expected in rows]


def same(left, right):
    """Equal but for the last digits, which the order of a sum may change."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == pytest.approx(right, abs=1e-12)


def numbers(scores):
    for value in scores.values():
        if isinstance(value, dict):
            yield from numbers(value)
        elif not isinstance(value, str):
            yield value


def test_classification_by_hand():
    scores = classification_scores(["a", "a", "b", "b"], ["a", "b", "b", "b"], labels=["a", "b", "c"])
    assert scores["accuracy"] == 0.75
    assert scores["precision_per_class"] == {"a": 0.5, "b": 1.0}  # "c" occurs on neither side
    assert scores["recall_per_class"] == pytest.approx({"a": 1.0, "b": 2 / 3})
    assert scores["f1_per_class"] == pytest.approx({"a": 2 / 3, "b": 0.8})
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert scores["weighted_f1"] == pytest.approx((2 / 3 + 3 * 0.8) / 4)


def test_sentiment_by_hand():
    scores = sentiment_scores(["low", "mid", "high"], ["low", "high", "high"], labels=["low", "mid", "high"])
    assert scores["mae_steps"] == pytest.approx(1 / 3)
    # squared steps: 0 + 1 + 0 seen; by chance, each predicted with each true, ((0+4+4) + (1+1+1) + (4+0+0)) / 3 = 5
    assert scores["quadratic_kappa"] == pytest.approx(1 - 1 / 5)


def test_a_level_nobody_uses_still_counts_as_a_step():
    far = sentiment_scores(["low", "top", "top"], ["low", "top", "low"], LEVELS)
    near = sentiment_scores(["low", "mid", "mid"], ["low", "mid", "low"], LEVELS)
    assert (far["mae_steps"], near["mae_steps"]) == (1.0, pytest.approx(1 / 3))


@settings(max_examples=30, deadline=None)
@given(label_rows)
def test_labels_agree_with_scikit_learn(rows):
    predicted, expected = columns(rows)
    scores = sentiment_scores(predicted, expected, LEVELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn on rows of one label
        assert scores["accuracy"] == pytest.approx(sk.accuracy_score(expected, predicted))
        for average in ("macro", "micro", "weighted"):
            f1 = sk.f1_score(expected, predicted, average=average, zero_division=0)
            assert scores[f"{average}_f1"] == pytest.approx(f1)
        precision = sk.precision_score(expected, predicted, average="macro", zero_division=0)
        assert scores["macro_precision"] == pytest.approx(precision)
        assert scores["macro_recall"] == pytest.approx(
            sk.recall_score(expected, predicted, average="macro", zero_division=0)
        )
        assert scores["mcc"] == pytest.approx(sk.matthews_corrcoef(expected, predicted))
        kappa = sk.cohen_kappa_score(expected, predicted, labels=LEVELS, weights="quadratic")
    assert scores["quadratic_kappa"] == pytest.approx(0.0 if math.isnan(kappa) else kappa, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(label_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert same(sentiment_scores(*columns(rows), LEVELS), sentiment_scores(*columns(shuffled), LEVELS))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=20))
def test_perfect_labels_score_one(labels):
    scores = sentiment_scores(labels, labels, LEVELS)
    assert scores.pop("mae_steps") == 0
    if len(set(labels)) == 1:  # nothing to agree on beyond chance
        assert scores.pop("mcc") == scores.pop("quadratic_kappa") == 0
    assert list(numbers(scores)) == pytest.approx([1.0] * len(list(numbers(scores))))


@pytest.mark.parametrize(
    ("predicted", "expected", "message"),
    [
        (["a"], ["a", "b"], "1 predictions but 2 references"),
        ([], [], "no rows"),
        (["a"], ["c"], "label 'c' is not one of the 2 labels"),
    ],
)
def test_labels_that_cannot_be_scored(predicted, expected, message):
    with pytest.raises(ValueError, match=message):
        classification_scores(predicted, expected, ["a", "b"])


@settings(max_examples=20, deadline=None)
@given(label_rows)
def test_scores_are_plain_json_numbers(rows):
    scores = sentiment_scores(*columns(rows), LEVELS)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert all(type(number) is float for number in numbers(scores))
