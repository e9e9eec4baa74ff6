"""The simulation of the labelling loop counts the labels that were given, and knows whether a forecast held."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import RECIPES, run_recipe

sys.path.insert(0, str(RECIPES / "benchmarks"))  # where a script finds the files beside it
import labelling

ROUNDS = [labelling.Round(labels, score, score) for labels, score in ((50, 0.5), (100, 0.6), (150, 0.7), (200, 0.8))]


def test_labels_are_counted_where_the_smoothed_score_crosses_the_aim():
    assert labelling.labels_for(ROUNDS, 0.65) == pytest.approx(125)
    assert labelling.labels_for(ROUNDS, 0.2) == 50
    assert labelling.labels_for(ROUNDS, 0.99) != labelling.labels_for(ROUNDS, 0.99)  # never


def test_a_forecast_holds_where_its_interval_has_what_then_happened():
    one = ROUNDS[1]._replace(low=1, rows=5, high=20, share_low=0.65, share_high=0.75)
    assert labelling.covered([ROUNDS[0], one, *ROUNDS[2:]]) == ([True], [True])
    wrong = one._replace(low=30, rows=40, high=50, share_low=0.71)
    assert labelling.covered([ROUNDS[0], wrong, *ROUNDS[2:]]) == ([False], [False])
    flat = [labelling.Round(labels, 0.5, 0.5) for labels in (50, 100, 150)]
    until = [flat[0]._replace(low=10, rows=20, high=high, share_low=0.4, share_high=0.6) for high in (99, 100)]
    assert [labelling.covered([first, *flat[1:]])[0] for first in until] == [[False], [True]]


def test_it_runs_in_both_ways(reviews, checkpoint, tmp_path):
    flags = ["--train_file", reviews["train"], "--test_file", reviews["test"], "--model_name_or_path", checkpoint()]
    outcome = run_recipe("benchmarks/labelling", [*flags, "--seeds", "1", "--first_rows", "16"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "of random's" in outcome.out
    lines = [json.loads(line) for line in (tmp_path / "labelling_simulation.jsonl").read_text().splitlines()]
    assert [line["way"] for line in lines] == ["random", "next"]
    assert [one["labels"] for one in lines[1]["rounds"]][:2] == [16, 32]
