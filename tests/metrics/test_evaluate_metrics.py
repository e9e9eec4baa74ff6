"""The classes of `evaluate` give the scores of the functions, without a network or a cache."""

import socket

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer import metrics
from nlp_transfer.metrics import (
    F1,
    SCHEMES,
    Accuracy,
    HammingLoss,
    LabelRankingAveragePrecision,
    MacroRecall,
    MatthewsCorrelation,
    MeanAbsoluteError,
    MeanAbsoluteSteps,
    MeanSquaredError,
    MultiLabelF1,
    PearsonCorrelation,
    Precision,
    QuadraticKappa,
    Recall,
    SpanF1,
    SpearmanCorrelation,
    evaluate_metrics,
    multi_label_scores,
    regression_scores,
    sentiment_scores,
    span_scores,
)

LEVELS = ["low", "mid", "high", "top"]
LABEL_METRICS = [Accuracy, Precision, Recall, F1, MatthewsCorrelation, MacroRecall, MeanAbsoluteSteps, QuadraticKappa]
PREFIXES = {"IOB1": "IB", "IOB2": "IB", "BIOES": "BIES", "BILOU": "BILU"}

label_rows = st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from(LEVELS)), min_size=1, max_size=30)


def tag_rows(scheme):
    """Sentences of (predicted, true) tags, well formed or not."""
    tags = st.sampled_from(["O"] + [f"{letter}-{kind}" for letter in PREFIXES[scheme] for kind in ("PER", "a-b")])
    return st.lists(st.lists(st.tuples(tags, tags), max_size=6), min_size=1, max_size=8)


any_tag_rows = st.sampled_from(SCHEMES).flatmap(lambda scheme: st.tuples(st.just(scheme), tag_rows(scheme)))


def columns(rows):
    return [predicted for predicted, _ in rows], [expected for _, expected in rows]


def tag_columns(rows):
    return [[p for p, _ in row] for row in rows], [[e for _, e in row] for row in rows]


def numbers(scores):
    for value in scores.values():
        if isinstance(value, dict):
            yield from numbers(value)
        elif not isinstance(value, str):
            yield value


@pytest.fixture
def sealed(monkeypatch, tmp_path):
    """No network, and a cache of Hugging Face that would show what is written to it."""

    def refuse(*args, **kwargs):
        raise AssertionError("a metric opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "metrics")
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_a_metric_gives_the_score_of_the_function(metric, sealed):
    predicted, expected = ["low", "mid", "mid", "top"], ["low", "mid", "high", "low"]
    scores = metric(labels=LEVELS).compute(predictions=predicted, references=expected)
    reference = sentiment_scores(predicted, expected, LEVELS)
    assert scores
    assert {name: reference.get(name, scores[name]) for name in scores} == scores


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_ids_score_as_their_names_do(metric, sealed):
    predicted, expected = [0, 1, 1, 3], [0, 1, 2, 0]
    named = [[LEVELS[i] for i in side] for side in (predicted, expected)]
    by_name = metric(labels=LEVELS).compute(predictions=named[0], references=named[1])
    assert metric(labels=LEVELS).compute(predictions=predicted, references=expected) == by_name
    nameless = metric().compute(predictions=predicted, references=expected)
    assert list(numbers(nameless)) == list(numbers(by_name))


@settings(max_examples=15, deadline=None)
@given(label_rows, st.integers(1, 7))
def test_batches_score_as_one(rows, size):
    for metric in (F1(), MatthewsCorrelation(), QuadraticKappa(LEVELS)):
        predicted, expected = columns(rows)
        whole = metric.compute(predictions=predicted, references=expected)
        for start in range(0, len(rows), size):
            metric.add_batch(predictions=predicted[start : start + size], references=expected[start : start + size])
        assert metric.compute() == whole


@settings(max_examples=15, deadline=None)
@given(any_tag_rows, st.integers(1, 3))
def test_batches_of_sentences_score_as_one(case, size):
    scheme, rows = case
    predicted, expected = tag_columns(rows)
    metric = SpanF1(scheme)
    for start in range(0, len(rows), size):
        metric.add_batch(predictions=predicted[start : start + size], references=expected[start : start + size])
    assert metric.compute() == span_scores(predicted, expected, scheme)


def test_rows_can_be_added_one_by_one(sealed):
    metric = Accuracy()
    for predicted, expected in [("a", "a"), ("b", "a")]:
        metric.add(prediction=predicted, reference=expected)
    assert metric.compute() == {"accuracy": 0.5}


def test_metrics_combine(sealed):
    combined = evaluate.combine([Accuracy(), F1(), Recall(), MatthewsCorrelation(), MeanAbsoluteSteps(LEVELS)])
    predicted, expected = ["low", "mid", "top"], ["low", "mid", "high"]
    scores = combined.compute(predictions=predicted, references=expected)
    reference = sentiment_scores(predicted, expected, LEVELS)
    assert {name: scores[name] for name in ("accuracy", "macro_f1", "mcc", "mae_steps", "macro_recall")} == {
        name: reference[name] for name in ("accuracy", "macro_f1", "mcc", "mae_steps", "macro_recall")
    }
    combined.add_batch(predictions=predicted[:2], references=expected[:2])
    combined.add_batch(predictions=predicted[2:], references=expected[2:])
    assert combined.compute() == scores


def test_span_metrics_of_two_schemes_combine(sealed):
    combined = evaluate.combine({"old": SpanF1("IOB1"), "new": SpanF1("IOB2")})
    scores = combined.compute(predictions=[["I-PER"]], references=[["I-PER"]])
    assert (scores["old_f1_strict"], scores["new_f1_strict"]) == (1.0, 0.0)


def test_rows_can_go_through_files_where_asked(tmp_path):
    metric = Accuracy(keep_in_memory=False, cache_dir=str(tmp_path))
    assert metric.compute(predictions=[1, 0], references=[1, 1]) == {"accuracy": 0.5}


def test_a_scale_of_names_needs_its_order(sealed):
    with pytest.raises(ValueError, match="MeanAbsoluteSteps of label names needs `labels`, in order"):
        MeanAbsoluteSteps().compute(predictions=["low"], references=["high"])


def test_a_metric_refuses_unequal_columns(sealed):
    with pytest.raises(ValueError, match="Mismatch in the number of predictions"):
        Accuracy().compute(predictions=["a"], references=["a", "b"])


def test_metrics_of_label_sets_give_the_scores_of_the_function(sealed):
    predicted, expected = [["low"], [], ["mid", "top"]], [["low", "mid"], [], ["top"]]
    ranking = [[0.9, 0.2, 0.1, 0.3], [0.1, 0.2, 0.3, 0.4], [0.2, 0.8, 0.1, 0.7]]
    scores = multi_label_scores(predicted, expected, LEVELS, ranking)
    found = {}
    for metric in (MultiLabelF1, HammingLoss):
        found |= metric(labels=LEVELS).compute(predictions=predicted, references=expected)
    found |= LabelRankingAveragePrecision(labels=LEVELS).compute(predictions=ranking, references=expected)
    assert {"samples_f1", "hamming_loss", "lrap"} <= found.keys()
    assert found == {name: scores[name] for name in found}


def test_metrics_of_numbers_give_the_scores_of_the_function(sealed):
    predicted, expected = [1.0, 2.5, 4.0], [1.5, 2.0, 5.0]
    found = {}
    for metric in (MeanSquaredError, MeanAbsoluteError, PearsonCorrelation, SpearmanCorrelation):
        found |= metric().compute(predictions=predicted, references=expected)
    assert found == regression_scores(predicted, expected)


def test_every_class_can_be_imported_from_the_room():
    classes = {name for name, value in vars(evaluate_metrics).items() if isinstance(value, type(evaluate.Metric))}
    classes = {name for name in classes if issubclass(getattr(evaluate_metrics, name), evaluate.Metric)}
    assert {name for name in classes if not name.startswith("_")} - set(metrics.__all__) == {"LocalMetric"}
    assert [name for name in metrics.__all__ if getattr(metrics, name, None) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'Acuracy'"):
        metrics.Acuracy  # noqa: B018
