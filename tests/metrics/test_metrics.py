import json
import math
import socket
import warnings

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import classification_report
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES
from sklearn import metrics as sk

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
    classification_scores,
    multi_label_scores,
    regression_scores,
    sentiment_scores,
    span_scores,
)

LEVELS = ["low", "mid", "high", "top"]
LABEL_METRICS = [Accuracy, Precision, Recall, F1, MatthewsCorrelation, MacroRecall, MeanAbsoluteSteps, QuadraticKappa]
SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES, "BILOU": BILOU}
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


@pytest.fixture
def sealed(monkeypatch, tmp_path):
    """No network, and a cache of Hugging Face that would show what is written to it."""

    def refuse(*args, **kwargs):
        raise AssertionError("a metric opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "metrics")
    yield
    assert not list(tmp_path.iterdir())


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


def test_spans_by_hand():
    predicted = [["B-PER", "I-PER", "O", "I-LOC"], ["B-ORG", "I-ORG"]]
    expected = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
    scores = span_scores(predicted, expected, "IOB2")
    assert scores["precision_strict"] == 1 / 2  # the I-LOC that opens a span is none
    assert scores["recall_strict"] == pytest.approx(1 / 3)
    assert scores["f1_strict"] == pytest.approx(0.4)
    assert scores["macro_f1_strict"] == pytest.approx(1 / 3)
    assert scores["macro_recall_strict"] == pytest.approx(1 / 3)
    assert scores["per_type_lenient"].keys() == scores["per_type"].keys()
    assert scores["f1_lenient"] == pytest.approx(2 / 3)
    assert scores["per_type"]["LOC"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 1}
    assert scores["scheme"] == "IOB2"


def test_spans_of_one_text_score_alike_in_every_scheme():
    spelled = {
        "IOB1": ([["I-X", "I-X", "O", "I-Y"]], [["I-X", "I-X", "O", "I-X"]]),
        "IOB2": ([["B-X", "I-X", "O", "B-Y"]], [["B-X", "I-X", "O", "B-X"]]),
        "BIOES": ([["B-X", "E-X", "O", "S-Y"]], [["B-X", "E-X", "O", "S-X"]]),
        "BILOU": ([["B-X", "L-X", "O", "U-Y"]], [["B-X", "L-X", "O", "U-X"]]),
    }
    assert set(spelled) == set(SCHEMES)
    for scheme, (predicted, expected) in spelled.items():
        scores = span_scores(predicted, expected, scheme)
        assert (scores["f1_strict"], scores["f1_lenient"], scores["macro_f1_strict"]) == (
            0.5,
            0.5,
            pytest.approx(1 / 3),
        )


@settings(max_examples=40, deadline=None)
@given(any_tag_rows)
def test_spans_agree_with_seqeval(case):
    scheme, rows = case
    predicted, expected = tag_columns(rows)
    scores = span_scores(predicted, expected, scheme)
    readings = {"strict": {"mode": "strict", "scheme": SEQEVAL[scheme]}}
    if scheme != "BILOU":  # which seqeval cannot read leniently
        readings["lenient"] = {}
    for reading, options in readings.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # seqeval on no spans
            report = classification_report(expected, predicted, output_dict=True, zero_division=0, **options)
        assert scores[f"f1_{reading}"] == report["micro avg"]["f1-score"]
        assert scores[f"precision_{reading}"] == report["micro avg"]["precision"]
        assert scores[f"recall_{reading}"] == report["micro avg"]["recall"]
        assert scores[f"macro_f1_{reading}"] == (report["macro avg"]["f1-score"] if len(report) > 3 else 0.0)


@settings(max_examples=30, deadline=None)
@given(any_tag_rows, st.randoms(use_true_random=False))
def test_the_order_of_sentences_does_not_matter(case, random):
    scheme, rows = case
    shuffled = random.sample(rows, len(rows))
    assert span_scores(*tag_columns(rows), scheme) == span_scores(*tag_columns(shuffled), scheme)


@pytest.mark.filterwarnings("error")
def test_perfect_spans_score_one_and_no_spans_score_zero():
    tags = [["B-PER", "I-PER", "O"], [], ["B-LOC"]]
    scores = span_scores(tags, tags, "IOB2")
    assert scores["f1_strict"] == scores["macro_f1_strict"] == scores["f1_lenient"] == scores["macro_f1_lenient"] == 1
    assert set(numbers(span_scores([["O"]], [["O"]], "IOB2"))) == {0.0}


@pytest.mark.parametrize(
    ("predicted", "expected", "scheme", "message"),
    [
        ([["O"]], [["O"], ["O"]], "IOB2", "1 predictions but 2 references"),
        ([["O"], ["O"]], [["O"], ["O", "O"]], "IOB2", "sentence 1 has 1 predicted tags but 2 true ones"),
        ([["O"]], [["S-PER"]], "IOB2", "'S-PER' is not of IOB2, whose tags are O or start with I-, B-"),
        ([["O"]], [["O"]], "IOB3", "unknown tag scheme 'IOB3'; known are IOB1, IOB2, BIOES, BILOU"),
    ],
)
def test_tags_that_cannot_be_scored(predicted, expected, scheme, message):
    with pytest.raises(ValueError, match=message):
        span_scores(predicted, expected, scheme)


@settings(max_examples=20, deadline=None)
@given(label_rows, any_tag_rows)
def test_scores_are_plain_json_numbers(rows, case):
    scheme, sentences = case
    for scores in (sentiment_scores(*columns(rows), LEVELS), span_scores(*tag_columns(sentences), scheme)):
        assert json.loads(json.dumps(scores, allow_nan=False)) == scores
        assert all(type(number) in (float, int) for number in numbers(scores))


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


SETS = st.lists(
    st.tuples(*(st.sets(st.sampled_from(LEVELS)).map(sorted) for _ in range(2)), st.lists(st.floats(0, 1), min_size=4)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(SETS)
def test_sets_of_labels_score_as_scikit_learn_says(rows):
    predicted, expected, ranking = [p for p, _, _ in rows], [e for _, e, _ in rows], [r[:4] for *_, r in rows]
    scores = multi_label_scores(predicted, expected, LEVELS, ranking)
    marks = [[[int(name in row) for name in LEVELS] for row in side] for side in (expected, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("micro", "macro", "weighted"):
            assert scores[f"{average}_f1"] == pytest.approx(sk.f1_score(*marks, average=average, zero_division=0))
        assert scores["hamming_loss"] == pytest.approx(sk.hamming_loss(*marks))
        assert scores["lrap"] == pytest.approx(sk.label_ranking_average_precision_score(marks[0], ranking))
    by_row = [2 * len({*p} & {*e}) / (len(p) + len(e)) if p or e else 1.0 for p, e, _ in rows]
    assert scores["samples_f1"] == pytest.approx(sum(by_row) / len(by_row))
    assert scores["exact_match"] == pytest.approx(sum(p == e for p, e, _ in rows) / len(rows))
    f1 = MultiLabelF1(labels=LEVELS).compute(predictions=predicted, references=expected)
    assert same(f1, {name: scores[name] for name in f1})
    hamming = HammingLoss(labels=LEVELS).compute(predictions=predicted, references=expected)
    assert same(hamming, {"hamming_loss": scores["hamming_loss"]})
    lrap = LabelRankingAveragePrecision(labels=LEVELS).compute(predictions=ranking, references=expected)
    assert same(lrap, {"lrap": scores["lrap"]})


def test_a_set_with_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match="label 'x' is not one of the 4 labels"):
        multi_label_scores([["x"]], [["low"]], LEVELS, [[0.0] * 4])


eighths = st.integers(-1000, 1000).map(lambda n: n / 8)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(eighths, eighths), min_size=2, max_size=20))
def test_numbers_score_as_scipy_and_scikit_learn_say(rows):
    predicted, expected = columns(rows)
    scores = regression_scores(predicted, expected)
    assert scores["mse"] == pytest.approx(sk.mean_squared_error(expected, predicted))
    assert scores["mae"] == pytest.approx(sk.mean_absolute_error(expected, predicted))
    if len(set(predicted)) > 1 and len(set(expected)) > 1:
        assert scores["pearson"] == pytest.approx(pearsonr(predicted, expected).statistic, abs=1e-9)
        assert scores["spearman"] == pytest.approx(spearmanr(predicted, expected).statistic, abs=1e-9)
    else:
        assert scores["pearson"] == scores["spearman"] == 0.0
    for metric in (MeanSquaredError, MeanAbsoluteError, PearsonCorrelation, SpearmanCorrelation):
        ((name, value),) = metric().compute(predictions=predicted, references=expected).items()
        assert value == scores[name]
