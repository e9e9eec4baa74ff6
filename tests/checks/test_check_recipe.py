"""The recipe check_data reads what the other recipes read, reports its findings, and stops with --strict_data."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from conftest import RECIPES, run_recipe

TRAIN = "text,label,id\ngood one,a,1\nbad one,b,2\n,a,3\ngreat thing,a,4\nawful thing,b,5\n"
TEST = "text,label,id\ngood one,a,1\nsomething else,c,2\n"


@pytest.fixture
def flags(tmp_path, checkpoint):
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "test.csv").write_text(TEST)
    return ["--train_file", "train.csv", "--test_file", "test.csv", "--model_name_or_path", checkpoint()]


def test_all_findings_are_reported_at_once(flags, tmp_path):
    outcome = run_recipe("check_data", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    found = json.loads((tmp_path / "runs" / "check_data" / "check.json").read_text())
    findings = {finding["kind"]: finding for finding in found["findings"]}
    assert findings["bad_rows"]["what"] == (
        "1 of 5 (20.0%) train rows cannot be used: 1 row with no text (line 4); a run stops there."
    )
    assert "'c' (line 3)" in findings["refused"]["what"]
    assert findings["leak"]["where"] == "test.csv, line 2"
    assert found["splits"]["train"]["columns_found"] == ["text", "label", "id"]
    assert "not read: id" in outcome.out
    assert run_recipe("check_data", flags, tmp_path).status == 0  # again, over what it wrote


def test_columns_of_labels_are_read(tmp_path, checkpoint):
    (tmp_path / "train.csv").write_text("text,late,rude,id\ngood one,0,1,1\nbad one,1,0,2\n")
    flags = ["--train_file", "train.csv", "--label_columns", "late,rude", "--model_name_or_path", checkpoint()]
    report = " ".join(run_recipe("check_data", flags, tmp_path).out.split())  # lines break where they are full
    assert "'late, rude'; not read: id labels in train" in report


def test_tagged_files_are_known_as_such(sentences, tmp_path, checkpoint):
    train = ["--train_file", sentences["train"], "--model_name_or_path", checkpoint()]
    outcome = run_recipe("check_data", [*train, "--label_errors", "--output_dir", "here"], tmp_path)
    assert outcome.status == 0, outcome.err
    found = json.loads((tmp_path / "here" / "check.json").read_text())
    assert (found["task"], set(found["splits"]["train"]["labels"])) == ("ner", {"PER", "LOC"})
    assert isinstance(found["label_errors"], list)


@pytest.mark.parametrize("task", ["classification", "sentiment", "ner"])
def test_the_sample_sets_are_fit_to_train_on(task, tmp_path, checkpoint):
    outcome = run_recipe("check_data", ["--task", task, "--model_name_or_path", checkpoint()], tmp_path)
    assert outcome.status == 0, outcome.err
    found = json.loads((tmp_path / "runs" / "check_data" / "check.json").read_text())
    assert [finding for finding in found["findings"] if finding["severity"] == "error"] == []


def test_strict_data_stops_after_the_report(flags, tmp_path):
    outcome = run_recipe("check_data", [*flags, "--strict_data"], tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: 1 of 2 (50.0%) test rows are also in train")
    assert (tmp_path / "runs" / "check_data" / "check.html").exists()


@pytest.mark.parametrize("name", ["classify", "ner", "sentiment"])
def test_training_stops_on_leaks_when_strict(name, task_flags, training_flags, tmp_path):
    flags = [*task_flags[name], *training_flags]
    flags[flags.index("--test_file") + 1] = flags[flags.index("--train_file") + 1]
    outcome = run_recipe(name, [*flags, "--strict_data"], tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("error: ")
    assert "rows are also in train word for word" in outcome.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_reported_before_anything_is_read(flags, tmp_path, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "cleanlab" else there(name))
    outcome = run_recipe("check_data", [*flags, "--label_errors"], tmp_path)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        'error: checking data needs cleanlab, not installed here; install with: pip install "nlp-transfer[check]"\n'
    )
    assert run_recipe("check_data", flags, tmp_path).status == 0


@pytest.mark.parametrize(
    ("flag", "value", "says"), [("--task", "chat", "classification"), ("--near_duplicates", "0.2", "0.5")]
)
def test_options_without_sense_are_refused(flags, tmp_path, flag, value, says):
    outcome = run_recipe("check_data", [*flags, flag, value], tmp_path)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert says in outcome.err


def test_help_loads_nothing_heavy():
    code = (
        "import runpy, sys\n"
        "sys.argv = ['check_data.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(RECIPES / 'check_data.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'cleanlab', 'datasketch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "--near_duplicates" in run.stdout
