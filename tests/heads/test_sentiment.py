"""The order of a scale is inferred from its names, given, or that of edges between scores."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_classification
from nlp_transfer.data.splits import Splits
from nlp_transfer.heads.sentiment import in_order

THREE = ["negative", "neutral", "positive"]


def predict(head, *probabilities):
    return head.decode([np.log(np.array([row], dtype=np.float32) + 1e-30) for row in probabilities], {"text": []})


def test_polarity_is_the_expected_place_on_the_scale():
    sure, torn, middling, mixed = predict(nt.SentimentHead(THREE), (0, 0, 1), (0.5, 0, 0.5), (0, 1, 0), (0.1, 0.3, 0.6))
    assert (sure.label, sure.polarity) == ("positive", pytest.approx(1.0))
    assert torn.polarity == pytest.approx(0.0)
    assert (middling.label, middling.polarity) == ("neutral", pytest.approx(0.0))
    assert mixed.polarity == pytest.approx(0.5)
    assert mixed.probability == pytest.approx(0.6)
    stars = nt.SentimentHead(["1", "2", "3", "4", "5"])
    assert [p.polarity for p in predict(stars, *np.eye(5))] == pytest.approx([-1, -0.5, 0, 0.5, 1])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda row: sum(row) > 0.01))
def test_polarity_keeps_its_bounds_and_turns_with_the_scale(weights):
    row = np.array(weights) / sum(weights)
    up, down = (predict(nt.SentimentHead(["1", "2", "3", "4"]), side)[0].polarity for side in (row, row[::-1]))
    assert -1 <= up <= 1
    assert up == pytest.approx(-down, abs=1e-6)


@pytest.mark.parametrize(
    "ordered",
    [
        ["negative", "positive"],
        THREE,
        ["very negative", "negative", "neutral", "positive", "very positive"],
        ["Very_Negative", "NEG", "Mixed", "pos", "great"],
        ["bad", "good"],
        ["1", "2", "3", "10"],
        ["1 star", "2 stars", "3 stars", "4 Stars", "5stars"],
        ["-1", "0", "1"],
        ["-0.5", "0.25", "1e1"],
    ],
)
def test_the_order_is_told_from_the_names(ordered):
    for shuffled in (sorted(ordered), ordered[::-1], [*ordered[1:], ordered[0], ordered[1]]):
        assert in_order(shuffled) == ordered


@pytest.mark.parametrize(
    "labels",
    [
        ["negative", "positive", "meh"],
        ["joy", "anger"],
        ["good", "positive"],  # the same step twice
        ["1", "1 star", "2"],
        ["negative", "5 stars"],  # two scales
        ["1", "nan"],
        ["1", "inf"],
    ],
)
def test_an_order_that_cannot_be_told_has_to_be_given(labels):
    with pytest.raises(nt.DataError, match=r"the labels .* have no known order; give it, lowest first: --levels"):
        in_order(labels)


def rows(folder, labels, name="rows.csv"):
    text = "text,stars\n" + "".join(f"a text,{label}\n" for label in labels)
    (folder / name).write_text(text, encoding="utf-8")
    return read_classification(str(folder / name), label_column="stars")


def test_for_splits_takes_the_order_from_the_names_or_from_the_user(tmp_path):
    splits = Splits(rows(tmp_path, ["positive", "neutral", "negative"]), rows(tmp_path, ["neutral"]), None)
    assert list(nt.SentimentHead.for_splits(splits).labels) == THREE
    given = nt.SentimentHead.for_splits(splits, levels=["positive", "neutral", "negative", "awful"], pooling="mean")
    assert list(given.labels) == ["positive", "neutral", "negative", "awful"]
    assert given.pooling == "mean"
    with pytest.raises(nt.OptionError, match="--levels lacks labels of the data: neutral"):
        nt.SentimentHead.for_splits(splits, levels=["negative", "positive"])


def test_scores_are_cut_into_levels_with_a_border_in_the_upper_one(tmp_path):
    cut = nt.cut_into_levels(rows(tmp_path, ["-9", "-0.31", "-0.3", "0", "0.3", "1e3", " 0.2 "]), THREE, (-0.3, 0.3))
    assert list(cut.data["label"]) == ["negative", "negative", "neutral", "neutral", "positive", "positive", "neutral"]
    assert cut.data.column_names == ["text", "label", "line"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_a_higher_score_is_never_on_a_lower_level(tmp_path_factory, scores):
    folder = tmp_path_factory.mktemp("scores")
    levels = ["a", "b", "c", "d"]
    cut = nt.cut_into_levels(rows(folder, sorted(scores)), levels, (-1.0, 0.0, 2.5))
    places = [levels.index(label) for label in cut.data["label"]]
    assert all(low <= high for low, high in itertools.pairwise(places))


@pytest.mark.parametrize("bad", ["good", "nan", "inf", "3 stars"])
def test_what_is_no_number_cannot_be_cut(tmp_path, bad):
    with pytest.raises(nt.DataError) as refused:
        nt.cut_into_levels(rows(tmp_path, ["0.1", bad]), THREE, (-0.3, 0.3))
    assert str(refused.value) == (
        f"{tmp_path / 'rows.csv'}, line 3: '{bad}' in column 'stars' is not a number, so --level_edges cannot cut it; "
        "correct it, or leave --level_edges out."
    )


def test_edges_have_to_fit_the_levels(tmp_path):
    with pytest.raises(nt.OptionError, match="--level_edges has 1 edges, so --levels must name 2 levels"):
        nt.cut_into_levels(rows(tmp_path, ["1"]), THREE, (0.0,))
    with pytest.raises(nt.OptionError, match="3 levels need 2 edges between them; got 1"):
        nt.SentimentHead(THREE, edges=(0.0,))
    for edges in ((0.3, -0.3), (0.0, 0.0)):
        with pytest.raises(nt.OptionError, match="edges must be ascending"):
            nt.SentimentHead(THREE, edges=edges)


def test_scores_know_how_far_off_a_prediction_is():
    head = nt.SentimentHead(THREE)
    sure = np.eye(3)

    def scores(*predicted):
        predictions = predict(head, *(sure[i] for i in predicted))
        return head.score(predictions, ["negative", "neutral", "positive", "positive"])

    right, near, far = scores(0, 1, 2, 2), scores(0, 1, 2, 1), scores(0, 1, 2, 0)
    wanted = {"accuracy", "macro_f1", "macro_recall", "mae_steps", "quadratic_kappa"}
    assert wanted <= {name for name, value in right.items() if isinstance(value, float)}
    assert head.best_metric in wanted
    assert right["accuracy"] == right["quadratic_kappa"] == 1.0
    assert right["mae_steps"] == 0.0
    assert near["accuracy"] == far["accuracy"] == 0.75
    assert (near["mae_steps"], far["mae_steps"]) == (0.25, 0.5)
    assert near["quadratic_kappa"] > far["quadratic_kappa"]


def test_it_is_a_classifier_with_its_options():
    head = nt.SentimentHead(THREE, edges=(-0.3, 0.3), pooling="max", hidden=(8,), dropout=0.2, label_smoothing=0.1)
    again = nt.SentimentHead(**head.options())
    assert vars(again) == vars(head)
    assert isinstance(head, nt.TextClassificationHead)
    with pytest.raises(nt.OptionError, match="two labels or more"):
        nt.SentimentHead(["fine"])


def test_a_score_that_was_never_cut_is_refused_and_the_options_named(review_splits):
    def with_scores(rows):
        return replace(
            rows,
            data=rows.data.remove_columns("label").add_column("label", [str(i / 7) for i in range(len(rows.data))]),
        )

    with pytest.raises(nt.DataError, match=r"64 different labels, too many for a scale; .* --level_edges"):
        nt.SentimentHead.for_splits(review_splits.each(with_scores))
