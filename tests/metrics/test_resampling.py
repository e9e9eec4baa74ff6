"""Intervals tell what the metrics tell, cover what they say they cover, and know that rows are shared."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.metrics import multi_label_scores, regression_scores, sentiment_scores, span_scores
from nlp_transfer.metrics.resampling import difference, interval, label_counts, number_counts, set_counts, span_counts

LABELS = ("low", "mid", "high")
ROWS = 60


def picked(values, rows):
    return [values[row] for row in rows]


def example(kind):
    """Row counts of random predictions; and what the metric says of any of these rows."""
    random = np.random.default_rng(5)
    if kind == "labels":
        said, true = (list(random.choice(LABELS, ROWS, p=p)) for p in ([0.5, 0.5, 0], [0.4, 0.4, 0.2]))
        return label_counts(said, true, LABELS), lambda rows: sentiment_scores(
            picked(said, rows), picked(true, rows), LABELS
        )
    if kind == "sets":
        probability = random.random((ROWS, 3)).round(1)  # ties in the ranking too
        said = [[label for label, p in zip(LABELS, row, strict=True) if p > 0.6] for row in probability]
        true = [[label for label in LABELS if random.random() > 0.6] for _ in range(ROWS)]
        return set_counts(said, true, LABELS, probability), lambda rows: multi_label_scores(
            picked(said, rows), picked(true, rows), LABELS, probability[rows]
        )
    if kind == "numbers":
        true = random.normal(1000, 1, ROWS)
        said = true + random.normal(0, 1, ROWS)
        return number_counts(said, true), lambda rows: regression_scores(said[rows], true[rows])
    letters = {"IOB2": "BI", "BILOU": "BILU", "BIOES": "BIES", "IOB1": "BI"}[kind]
    tags = ["O", *(f"{letter}-{name}" for letter in letters for name in ("PER", "LOC"))]
    true = [list(random.choice(tags, 6)) for _ in range(ROWS)]  # ill-formed ones too
    said = [[tag if random.random() > 0.3 else random.choice(tags) for tag in row] for row in true]
    return span_counts(said, true, kind), lambda rows: span_scores(picked(said, rows), picked(true, rows), kind)


@pytest.mark.parametrize("kind", ["labels", "sets", "numbers", "IOB2", "IOB1", "BIOES", "BILOU"])
def test_counts_give_the_scores_of_the_metric_on_all_rows_and_on_any_draw_of_them(kind):
    counts, metric = example(kind)
    for rows in (np.arange(ROWS), np.random.default_rng(1).integers(ROWS, size=ROWS)):
        found = counts.of(np.bincount(rows, minlength=ROWS)[None].astype(float))
        expected = metric(rows)
        shared = found.keys() & expected.keys()
        if len({*rows}) < ROWS:
            shared -= {"spearman"}  # its ranks stay those among all rows
        assert len(shared) >= 3
        for name in shared:
            assert found[name] == pytest.approx(expected[name], abs=1e-9), name


def test_intervals_of_95_percent_cover_the_truth_in_95_of_100_samples():
    random, truth, rows = np.random.default_rng(0), 0.8, 250
    covered = 0
    for sample in range(1000):
        said = ["right" if right else "wrong" for right in random.random(rows) < truth]
        accuracy = interval(label_counts(said, ["right"] * rows, ("right", "wrong")), draws=400, seed=sample)[
            "accuracy"
        ]
        covered += accuracy.low <= truth <= accuracy.high
    assert 930 <= covered <= 970


def test_models_that_err_on_the_same_rows_are_told_apart_where_their_intervals_overlap():
    true = ["yes"] * 200
    worse = ["no"] * 60 + ["yes"] * 140
    better = ["no"] * 50 + ["yes"] * 150
    ours, theirs = (label_counts(said, true, ("yes", "no")) for said in (better, worse))
    assert interval(ours)["accuracy"].low < interval(theirs)["accuracy"].high
    gain = difference(ours, theirs)["accuracy"]
    assert gain.score == pytest.approx(0.05)
    assert 0 < gain.low < 0.05 < gain.high
    loss = difference(theirs, ours)["accuracy"]
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low))
    assert difference(ours, ours)["accuracy"] == (0, 0, 0)


def test_of_several_seeds_the_mean_is_taken_and_any_block_of_draws_gives_the_same(monkeypatch):
    true = ["yes", "no"] * 20
    seeds = [label_counts(["no", *true[1:k], "no", *true[k + 1 :]], true, ("yes", "no")) for k in (3, 10)]
    alone = [interval(seed)["accuracy"].score for seed in seeds]
    assert alone == [39 / 40, 38 / 40]
    mean = interval(seeds)
    assert mean["accuracy"].score == pytest.approx(sum(alone) / 2)
    monkeypatch.setattr("nlp_transfer.metrics.resampling._AT_ONCE", 100)
    for name, found in interval(seeds).items():
        assert found == pytest.approx(mean[name]), name


def test_models_scored_on_other_rows_are_refused():
    one, two = (label_counts(["a"] * n, ["a"] * n, ("a",)) for n in (3, 4))
    with pytest.raises(ValueError, match=r"\[3, 4\] rows"):
        difference(one, two)
    with pytest.raises(ValueError, match="no rows to score"):
        label_counts([], [], ("a",))
