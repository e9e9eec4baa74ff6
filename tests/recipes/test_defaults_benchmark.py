"""Settings are compared on held-out training rows, and the time to accuracy is that of the shortest way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import RECIPES, run_recipe

import nlp_transfer as nt

sys.path.insert(0, str(RECIPES / "benchmarks"))  # where a script finds the files beside it
import defaults
import time_to_accuracy


def test_a_setting_is_a_name_and_what_differs():
    assert defaults.setting_of("base") == ("base", ())
    assert defaults.setting_of("high:learning_rate=2e-4,pooling=mean") == (
        "high", (("learning_rate", "2e-4"), ("pooling", "mean")),
    )  # fmt: skip
    for wrong in (":a=b", "name:a", "name:=b", "name:a="):
        with pytest.raises(nt.OptionError, match="write NAME or NAME:OPTION=VALUE"):
            defaults.setting_of(wrong)


def test_the_lead_of_a_setting_is_over_sets_and_seeds_that_both_have():

    def result(file, setting, seed, score):
        return {"key": [f"{file}/train.jsonl", "100", setting, str(seed)], "score": score}

    results = [result("a", "base", 0, 0.5), result("a", "base", 1, 0.7), result("b", "base", 0, 0.4)]
    results += [result("a", "new", 0, 0.6), result("a", "new", 1, 0.7), result("b", "new", 0, 0.6)]
    results += [result("c", "base", 0, 0.9), result("c", "new", 0, None)]  # a task that lacks the option
    (line,) = [line for line in defaults.markdown(results, ["base", "new"]).splitlines() if line.startswith("| new")]
    assert line.startswith("| new | 62.50 | +12.50 | ")
    assert line.endswith(" | 2 of 2 | a +5.00 |")


def test_the_time_to_accuracy_is_that_of_the_shortest_way_that_reaches_it():
    scores = {
        "ours": 0.91,
        "ours, 1 epoch": 0.9,
        "plain, 1 epochs": 0.8,
        "plain, 3 epochs": 0.9,
        "trainer, 3 epochs": 0.8,
    }
    seconds = dict(zip(scores, (50.0, 30.0, 100.0, 300.0, 200.0), strict=True))
    assert time_to_accuracy.time_to(0.9, scores, seconds) == {"ours": 30.0, "plain": 300.0, "trainer": None}


@pytest.mark.parametrize(
    ("name", "flags", "says"),
    [
        ("defaults", [], "--files names none"),
        ("defaults", ["--files", "gone.csv"], "gone.csv does not exist"),
        ("defaults", ["--files", "gone.csv", "--settings", "a:b"], "write NAME or NAME:OPTION=VALUE"),
        ("time_to_accuracy", [], "--folders names none"),
        ("time_to_accuracy", ["--folders", "nowhere"], "--folders nowhere holds no train.jsonl"),
        ("time_to_accuracy", ["--folders", "nowhere", "--peers", "trainer"], "--peers needs plain"),
        ("time_to_accuracy", ["--folders", "nowhere", "--epochs", "some"], "--epochs must be whole numbers above 0"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, name, flags, says):
    outcome = run_recipe(f"benchmarks/{name}", flags, tmp_path)
    assert outcome.status == 2
    assert says in outcome.err.splitlines()[-1]


@pytest.mark.whole
def test_a_search_for_defaults_goes_on_where_it_was_stopped(checkpoint, reviews, tmp_path):
    flags = ["--files", reviews["train"], "--rows", "20", "--seeds", "1", "--workers", "1", "--output_dir", "found"]
    flags += ["--model_name_or_path", checkpoint(), "--settings", "base:num_train_epochs=1"]
    both = [*flags, "averaged:num_train_epochs=1,strategy=tried_averaged"]
    for given in (flags, both):
        command = [sys.executable, str(RECIPES / "benchmarks" / "defaults.py"), *given]
        outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert outcome.returncode == 0, outcome.stderr
    results = [json.loads(line) for line in (tmp_path / "found" / "results.jsonl").read_text().splitlines()]
    assert [result["key"][2] for result in results] == ["base", "averaged"]
    assert all(0 <= result["score"] <= 1 and result["train_rows"] in (20, 21) for result in results)
    assert "| averaged |" in outcome.stdout
