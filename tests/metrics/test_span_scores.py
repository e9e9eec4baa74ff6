"""Scores of entity spans agree with seqeval, strict and lenient."""

import json
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from nlp_transfer.metrics import SCHEMES, span_scores
from nlp_transfer.metrics.span_scores import spans_of

SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES, "BILOU": BILOU}
PREFIXES = {"IOB1": "IB", "IOB2": "IB", "BIOES": "BIES", "BILOU": "BILU"}


def tag_rows(scheme):
    """Sentences of (predicted, true) tags, well formed or not."""
    tags = st.sampled_from(["O"] + [f"{letter}-{kind}" for letter in PREFIXES[scheme] for kind in ("PER", "a-b")])
    return st.lists(st.lists(st.tuples(tags, tags), max_size=6), min_size=1, max_size=8)


any_tag_rows = st.sampled_from(SCHEMES).flatmap(lambda scheme: st.tuples(st.just(scheme), tag_rows(scheme)))


def tag_columns(rows):
    return [[p for p, _ in row] for row in rows], [[e for _, e in row] for row in rows]


def numbers(scores):
    for value in scores.values():
        if isinstance(value, dict):
            yield from numbers(value)
        elif not isinstance(value, str):
            yield value


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


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_spans_and_their_scores_are_those_of_seqeval(scheme, data):
    predicted, expected = tag_columns(data.draw(tag_rows(scheme)))
    scores = span_scores(predicted, expected, scheme)
    assert spans_of(expected, scheme, strict=True) == [
        {(entity.tag, entity.start, entity.end) for entity in row}
        for row in Entities(expected, SEQEVAL[scheme]).entities
    ]
    check(scores, "strict", "per_type", report_of(predicted, expected, mode="strict", scheme=SEQEVAL[scheme]))
    lenient = spans_of(expected, scheme, strict=False)
    if scheme == "BILOU":  # which seqeval cannot read leniently
        predicted, expected = as_bioes(predicted), as_bioes(expected)
    assert lenient == [{(kind, first, last + 1) for kind, first, last in get_entities(tags)} for tags in expected]
    check(scores, "lenient", "per_type_lenient", report_of(predicted, expected))


def report_of(predicted, expected, **reading):
    """What seqeval reports: a row a type, and its averages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval on no spans
        return classification_report(expected, predicted, output_dict=True, zero_division=0, **reading)


def as_bioes(sentences):
    return [[{"L": "E", "U": "S"}.get(tag[0], tag[0]) + tag[1:] for tag in tags] for tags in sentences]


def check(scores, reading, per_type, report):
    """The very same numbers, and the types in the same order."""
    types = [name for name in report if not name.endswith(" avg")]
    assert list(scores[per_type]) == types
    for name in ("f1", "precision", "recall"):
        key = "f1-score" if name == "f1" else name
        assert scores[f"{name}_{reading}"] == report["micro avg"][key]
        assert scores[f"macro_{name}_{reading}"] == (report["macro avg"][key] if types else 0.0)
        assert [scores[per_type][kind][name] for kind in types] == [report[kind][key] for kind in types]
    assert [scores[per_type][kind]["support"] for kind in types] == [report[kind]["support"] for kind in types]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-X I-X", [("X", 2, 3)]),  # nothing to separate: the B- is skipped
        ("I-X B-X B-Y", [("X", 0, 1)]),
        ("I-X B-X I-X B-Y I-Y", [("X", 0, 1), ("X", 1, 3), ("Y", 4, 5)]),
    ],
)
def test_ill_placed_b_tags_of_iob1(tags, spans):
    assert spans_of([tags.split()], "IOB1", strict=True) == [set(spans)]


def test_a_type_may_be_called_like_an_average():
    scores = span_scores([["B-micro avg", "O"]], [["B-micro avg", "B-LOC"]], "IOB2")
    assert scores["per_type"]["micro avg"]["f1"] == 1.0
    assert scores["f1_strict"] == pytest.approx(2 / 3)


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
        ([["O"]], [["S-PER"]], "IOB2", "'S-PER' is not of IOB2, whose tags are O, I-<type>, B-<type>"),
        ([["O"]], [["B-"]], "IOB2", "'B-' is not of IOB2"),
        ([["O"]], [["O"]], "IOB3", "unknown tag scheme 'IOB3'; known are IOB1, IOB2, BIOES, BILOU"),
    ],
)
def test_tags_that_cannot_be_scored(predicted, expected, scheme, message):
    with pytest.raises(ValueError, match=message):
        span_scores(predicted, expected, scheme)


@settings(max_examples=20, deadline=None)
@given(any_tag_rows)
def test_scores_are_plain_json_numbers(case):
    scheme, rows = case
    scores = span_scores(*tag_columns(rows), scheme)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert all(type(number) in (float, int) for number in numbers(scores))
