"""A comparison from end to end: killed, started again, and read."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from conftest import RECIPES, run_recipe
from forking import started

import nlp_transfer as nt
from nlp_transfer.experiments import trial as trial_module
from nlp_transfer.experiments.candidates import BASELINES, Candidate
from nlp_transfer.experiments.compare.comparison import Comparison
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.entries import entries_of
from nlp_transfer.experiments.compare.shared_rows import SharedRows
from nlp_transfer.experiments.compare.trial_results import Job, probe_options_of, run_trial
from nlp_transfer.experiments.trial import Trial, TrialSetup

FILES = {".lock", "comparison.csv", "comparison.html", "comparison.json", "curve.svg", "failed", "identity.json",
         "options.yaml", "trials"}  # fmt: skip


def results(folder: Path) -> dict[str, tuple[int, str]]:
    """When each result was written, and what it says."""
    done = [path for path in folder.glob("trials/*/result.json") if not path.parent.name.startswith(".")]
    return {path.parent.name: (path.stat().st_mtime_ns, path.read_text()) for path in done}


@pytest.mark.whole
def test_a_comparison_that_is_killed_goes_on_and_repeats_nothing(task_flags, training_flags, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--max_train_steps", "2", "--strategies", "full,freeze:9"]
    flags += ["--fractions", "0.5", "--seeds", "1", "--workers", "1"]
    folder = tmp_path / "runs" / "compare"
    killed = started(tmp_path, RECIPES / "compare.py", *flags)
    while not results(folder):
        assert killed.is_alive()
        time.sleep(0.05)
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.join()
    assert psutil.wait_procs(children, timeout=240)[1] == []
    before = results(folder)
    assert 1 <= len(before) < 3

    outcome = run_recipe("compare", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    after = results(folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == 3  # full, scratch and the baselines
    assert {path.name for path in folder.iterdir()} == FILES
    assert "freeze:9 failed (0.5 of train, seed 0): --trainable_layers 9 is more than the 2 layers" in outcome.err
    assert "Failed: freeze:9: --trainable_layers 9 is more than" in outcome.out
    assert "One seed" in outcome.out
    told = json.loads((folder / "comparison.json").read_text())
    assert {entry["train_rows"] for entry in told["entries"]} == {32}
    network = next(entry for entry in told["entries"] if entry["name"] == "full")
    assert all(network[cost] > 0 for cost in ("seconds", "trained_weights", "peak_memory", "disk"))
    page = (folder / "comparison.html").read_text()
    assert told["verdict"].split(" (")[0] in page
    assert not any(outside in page for outside in ("<script", " src=", "https:", "@import"))

    again = run_recipe("compare", flags[:-2], tmp_path)  # there is nothing left but what failed
    assert results(folder) == after
    assert again.out == outcome.out


def test_what_cannot_be_compared_is_one_line(task_flags, training_flags, tmp_path):
    train, test = (task_flags["classify"][place : place + 2] for place in (0, 4))
    flags = [*train, *test, *training_flags]
    for more, said in (
        (["--metric", "f1_strict"], "--metric f1_strict is not a score of this task; it has accuracy, macro_f1"),
        (["--metric", "loss"], "--metric loss is not a score of this task"),
        (["--fractions", "0.5,1.5"], "--fractions must be more than 0 and at most 1"),
        (["--levels", "a", "b"], "--levels is of --task sentiment, not of classification"),
        (["--label_scheme", "BIOES"], "--label_scheme is of --task ner"),
        (["--processes", "2"], "--processes 2 is for one run; say with --workers how many run at once."),
        (["--checkpoint_every", "5 steps"], "compare saves no model; leave --checkpoint_every out"),
        (["--metric", "mcc", "--metric_for_best_model", "accuracy"], "--metric mcc also chooses the best weights"),
        (["--validation_split_percentage", "0"], "a comparison chooses on validation rows, and there are none"),
        (["--encoders", "nowhere/at/all"], "there is no folder nowhere/at/all"),
    ):
        outcome = run_recipe("compare", [*flags, *more], tmp_path)
        assert outcome.status == 2, more
        assert said in outcome.err.splitlines()[-1]
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["ner", "sentiment", "multi_label", "regression"])
def test_every_task_is_compared(task, request, checkpoint, reviews, sentences, tmp_path):
    files = sentences if task == "ner" else reviews
    data = nt.DataOptions(**{f"{name}_file": path for name, path in files.items()})
    levels = nt.SentimentOptions(levels=["complaint", "praise"] if task == "sentiment" else [])
    if task in ("multi_label", "regression"):
        data = nt.DataOptions(train_file=of_problem(task, tmp_path), problem=task)
    kind = task if task in ("ner", "sentiment") else "classification"
    splits, head = nt.read_task(kind, data, levels, nt.NEROptions())
    folder = ComparisonFolder(tmp_path / "out")
    folder.open_for({})
    job = job_of(head, splits, folder.rows)
    candidates = [Candidate("features", checkpoint(), "features"), Candidate(BASELINES, "", BASELINES)]
    trials = [Trial(candidate, 1.0, 0) for candidate in candidates]
    for trial in trials:
        run_trial(trial, job, folder.begin(trial.name))
        folder.keep(trial.name)
    split = "test" if splits.test else "validation"
    entries = entries_of(folder, trials, head, head.best_metric, split)
    found = Comparison.of(entries, head.task, head.best_metric, split, {})
    for line in found.groups[0].lines:  # what is read back scores as what was written
        assert line.interval.score == pytest.approx(line.entry.score)
    assert nt.comparison_table(found)


def job_of(head, splits, folder):
    setup = TrialSetup(head, nt.ModelOptions(), nt.TrainingOptions(mixed_precision="no"), nt.CacheOptions())
    return Job(setup, SharedRows.write(splits, folder))


def of_problem(problem: str, folder: Path) -> str:
    """A file of texts with several labels, or a number."""
    labels = {"multi_label": [["a"], ["a", "b"], []], "regression": [0.5, 1.5, 2.25]}[problem]
    rows = [{"text": f"the {word} was good", "label": labels[i % 3]} for i, word in enumerate(["coffee", "train"] * 30)]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_training_costs_its_pass_over_frozen_layers_whoever_made_it(checkpoint, review_splits, tmp_path, monkeypatch):
    def timed(*given):
        return replace(fit(*given), seconds=1.0, seconds_spared=2.0)

    fit = trial_module.fit
    monkeypatch.setattr(trial_module, "fit", timed)
    job = job_of(nt.text_head_for(review_splits), review_splits, tmp_path / "rows")
    run_trial(Trial(Candidate("features", checkpoint(), "features")), job, tmp_path)
    (learned,) = json.loads((tmp_path / "result.json").read_text())["learned"]
    assert learned["seconds"] == 3.0


def test_a_probe_reads_the_mean_of_tokens_unless_told_otherwise(checkpoint, review_splits):
    head = nt.text_head_for(review_splits)
    probe = Candidate("freeze", checkpoint(), "freeze")
    assert probe_options_of(probe, head) == {"pooling": "mean"}
    assert probe_options_of(probe, nt.text_head_for(review_splits, pooling="cls")) == {}
    assert probe_options_of(Candidate("freeze:1", "", "freeze", (("trainable_layers", 1),)), head) == {}
