"""A metric of another package is a score of the heads it names, with an interval and a direction."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.errors import OptionError
from nlp_transfer.metrics import (
    classification_scores,
    difference,
    interval,
    is_error,
    label_counts,
    register_metric,
    set_counts,
    with_registered_counts,
    with_registered_scores,
)

TRUE = ["yes", "no", "yes", "yes", "no", "yes", "no", "no"]
PREDICTED = ["yes", "yes", "yes", "no", "no", "yes", "no", "yes"]
LABELS = ("no", "yes")


@pytest.fixture(autouse=True)
def _none_registered(monkeypatch):
    monkeypatch.setattr("nlp_transfer.metrics.metric_registry._METRICS", {})


def misses(predictions, references):
    """The share of rows that are wrong, which is 1 - accuracy."""
    return sum(p != r for p, r in zip(predictions, references, strict=True)) / len(references)


def test_a_metric_is_a_score_of_the_tasks_it_names():
    register_metric("misses", misses, tasks=["classification"], greater_is_better=False)
    own = {"accuracy": 0.625}
    assert with_registered_scores(own, "classification", PREDICTED, TRUE) == {"accuracy": 0.625, "misses": 0.375}
    assert with_registered_scores(own, "ner", PREDICTED, TRUE) == own == {"accuracy": 0.625}
    register_metric("rows", lambda predictions, references: len(references))
    scores = with_registered_scores({}, "ner", PREDICTED, TRUE)
    assert scores == {"rows": 8.0}
    assert type(scores["rows"]) is float  # plain, for JSON, whatever the function gave


def test_its_direction_is_what_it_says_whatever_its_name():
    assert not is_error("misses")
    register_metric("misses", misses, greater_is_better=False)
    register_metric("mae_saved", misses)
    assert is_error("misses")
    assert not is_error("mae_saved")
    assert [is_error(name) for name in ("loss", "eval_loss", "mae_steps", "mse", "accuracy")] == [True] * 4 + [False]


def test_its_draws_are_those_of_the_scores_beside_it():
    register_metric("misses", misses, tasks=["classification"], greater_is_better=False)
    own = label_counts(PREDICTED, TRUE, LABELS)
    counts = with_registered_counts(own, "classification", PREDICTED, TRUE)
    sure = interval(counts, draws=200)
    accuracy = sure["accuracy"]
    assert accuracy == interval(own, draws=200)["accuracy"]
    assert sure["misses"] == pytest.approx((1 - accuracy.score, 1 - accuracy.high, 1 - accuracy.low))
    others = with_registered_counts(label_counts(TRUE, TRUE, LABELS), "classification", TRUE, TRUE)
    gap = difference(counts, others, draws=200)
    assert gap["misses"].score == pytest.approx(0.375)
    assert (gap["misses"].low, gap["misses"].high) == pytest.approx((-gap["accuracy"].high, -gap["accuracy"].low))


def test_its_draws_know_their_rows_when_some_are_taken_out():
    register_metric("misses", misses)
    counts = with_registered_counts(label_counts(PREDICTED, TRUE, LABELS), "classification", PREDICTED, TRUE)
    rows = np.array([1, 3, 4])
    part = type(counts)(counts.counts[rows], counts.scores)
    assert interval(part, draws=50)["misses"].score == pytest.approx(2 / 3)


def test_counts_that_are_dense_can_have_it_too():
    register_metric("misses", misses)
    sides = [["yes"], []], [["yes"], ["no"]]
    own = set_counts(*sides, LABELS, [[0.1, 0.9], [0.4, 0.3]])
    scores = interval(with_registered_counts(own, "multi_label", *sides), draws=50)
    assert scores["misses"].score == 0.5
    assert scores["exact_match"] == interval(own, draws=50)["exact_match"]


def test_without_one_counts_stay_as_they_are():
    register_metric("misses", misses, tasks=["ner"])
    own = label_counts(PREDICTED, TRUE, LABELS)
    assert with_registered_counts(own, "classification", PREDICTED, TRUE) is own


def test_a_name_gets_the_function_that_was_registered_last():
    register_metric("misses", misses)
    register_metric("misses", lambda predictions, references: 7)
    assert with_registered_scores({}, "ner", PREDICTED, TRUE) == {"misses": 7.0}


@pytest.mark.parametrize(
    ("name", "tasks", "message"),
    [
        ("loss", None, "every head has a score 'loss'; register the metric under another name"),
        ("my score", None, "a metric's name has no blanks; got 'my score'"),
        ("", None, "has no blanks; got ''"),
        ("cost", "ner", r"tasks takes a list, such as \['ner'\]"),
    ],
)
def test_what_cannot_be_registered_is_refused(name, tasks, message):
    with pytest.raises(OptionError, match=message):
        register_metric(name, misses, tasks=tasks)


def test_a_name_that_the_head_has_is_refused_where_it_scores():
    register_metric("accuracy", misses)
    message = "a head for classification has a score 'accuracy'; register the metric under another name"
    with pytest.raises(OptionError, match=message):
        with_registered_scores(classification_scores(PREDICTED, TRUE, LABELS), "classification", PREDICTED, TRUE)
    with pytest.raises(OptionError, match=message):
        with_registered_counts(label_counts(PREDICTED, TRUE, LABELS), "classification", PREDICTED, TRUE)


def test_a_value_that_is_not_finite_is_refused():
    register_metric("odd", lambda predictions, references: float("nan"))
    with pytest.raises(ValueError, match="metric 'odd' gave nan for 8 rows; it has to be finite"):
        with_registered_scores({}, "classification", PREDICTED, TRUE)
