"""A search chooses on validation rows alone, goes on after any end, and leaves a file that a recipe takes."""

from __future__ import annotations

import itertools
import json
import sys

import optuna
import pytest
import yaml
from conftest import run_recipe
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import nlp_transfer as nt
from nlp_transfer.experiments.tune.search import Search
from nlp_transfer.experiments.tune.tuning_trials import Runs


@pytest.fixture
def flags(task_flags, training_flags):
    """What a search on the tiny reviews needs, with the test file left out."""
    files = task_flags["classify"][:4]
    return [*files, *training_flags, "--strategies", "full,features", "--trials", "4", "--output_dir", "search"]


@pytest.fixture
def cheap(monkeypatch):
    """Runs that train nothing: a list of what they were told."""
    told = []

    def score(self, trial, strategy, settings):
        told.append((strategy, settings))
        return 0.5 + len(told) / 100

    monkeypatch.setattr(Runs, "score", score)
    return told


def study(folder):
    storage = JournalStorage(JournalFileBackend(str(folder / "search" / "trials.log")))
    return optuna.load_study(study_name="tune", storage=storage)


def said(outcome):
    return [line.split("(")[0].strip() for line in outcome.err.splitlines() if line.startswith("Trial ")]


def test_a_search_tells_all_trials_and_leaves_options_that_a_recipe_takes(flags, tmp_path):
    (tmp_path / "test.csv").write_text("nothing that could be read")
    learned = [*flags[:-6], "--strategies", "full,features", "--trials", "3", "--output_dir", "search"]
    outcome = run_recipe("tune", [*learned, "--test_file", "test.csv"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert said(outcome) == ["Trial 1 of 3", "Trial 2 of 3", "Trial 3 of 3"]
    heading, *lines = outcome.out.splitlines()
    assert heading.split() == ["trial", "accuracy", "seconds", "settings"]
    scores = [float(line.split()[1]) for line in lines]
    assert sorted(scores, reverse=True) == scores
    assert {line.split()[3].rstrip(":") for line in lines} == {"full", "features"}
    assert "Chosen on 16 validation rows" in outcome.err
    assert "nlp-transfer classify --config search/best.yaml" in outcome.err
    assert sorted(path.name for path in (tmp_path / "search").iterdir()) == ["best.yaml", "search.lock", "trials.log"]

    # A run with these options has the best trial's validation score.
    assert yaml.safe_load((tmp_path / "search" / "best.yaml").read_text())["test_file"] == "test.csv"
    (tmp_path / "test.csv").write_text("text,label\ngood,praise\nbad,complaint\n")
    run = run_recipe("classify", ["--config", "search/best.yaml", "--output_dir", "run"], tmp_path)
    assert run.status == 0, run.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["validation"]["accuracy"] == pytest.approx(
        scores[0], abs=1e-4
    )


def test_each_evaluation_is_told_and_may_end_the_run(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda trial: trial.number == 1)
    outcome = run_recipe("tune", [*flags[:-6], "--strategies", "full,head_then_full", "--trials", "3",
                                  "--output_dir", "search", "--search", "head_epochs=1..2"], tmp_path)  # fmt: skip
    assert outcome.status == 0, outcome.err
    trials = study(tmp_path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    for trial in trials:  # head_then_full, too, is told of the evaluations of its last stage alone
        assert list(trial.intermediate_values) == ([1] if trial.state.name == "PRUNED" else [1, 2])
    assert outcome.out.count("(pruned)") == 1


@pytest.mark.parametrize("how", ["killed", "stopped", "another process"])
def test_a_search_goes_on_and_counts_what_was_tried(flags, cheap, tmp_path, monkeypatch, how):
    assert run_recipe("tune", [*flags[:-4], "--trials", "2", "--output_dir", "search"], tmp_path).status == 0
    begun = study(tmp_path)
    if how == "stopped":
        with monkeypatch.context() as patch:
            patch.setattr(Runs, "score", lambda *_: (_ for _ in ()).throw(nt.Interrupted()))
            assert run_recipe("tune", flags, tmp_path).status == 130
    else:
        begun.enqueue_trial({"strategy": "full"})
        trial = begun.ask()
        trial.suggest_categorical("strategy", ["full", "features"])
        trial.set_user_attr("process", "process-1.lock")
    if how == "another process":
        with FileLock(tmp_path / "search" / "process-1.lock"):
            outcome = run_recipe("tune", flags, tmp_path)
        assert said(outcome) == ["Trial 4 of 4"]
        assert "(running)" in outcome.out
        return
    outcome = run_recipe("tune", flags, tmp_path)
    assert said(outcome) == ["Trial 3 of 4", "Trial 4 of 4"]
    assert len(outcome.out.splitlines()) == 5
    if how == "killed":
        assert cheap[2][0] == "full"  # what was lost is tried again
    best = tmp_path / "search" / "best.yaml"
    was = best.read_text()
    best.unlink()  # as where a process is killed between a trial and its writing
    assert run_recipe("tune", flags, tmp_path).out == outcome.out
    assert len(cheap) <= 4
    assert best.read_text() == was


def test_whether_a_trial_is_lost_is_decided_by_one_process_at_a_time(flags, cheap, tmp_path, monkeypatch):
    assert run_recipe("tune", [*flags[:-4], "--trials", "1", "--output_dir", "search"], tmp_path).status == 0
    study(tmp_path).ask().set_user_attr("process", "process-1.lock")
    is_lost, asked = Search._is_lost, []

    def alone(self, trial):
        with pytest.raises(Timeout):
            FileLock(self.folder / "search.lock", timeout=0).acquire()
        asked.append(trial.number)
        return is_lost(self, trial)

    monkeypatch.setattr(Search, "_is_lost", alone)
    assert run_recipe("tune", flags, tmp_path).status == 0
    assert asked == [1]


def test_a_score_that_is_no_number_fails_its_trial_for_a_reason(flags, cheap, tmp_path, monkeypatch):
    monkeypatch.setattr(Runs, "score", lambda *_: float("nan"))
    outcome = run_recipe("tune", flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == "error: no trial was completed: its accuracy is not a number."


def test_a_trial_that_fails_is_told_and_the_others_go_on(flags, cheap, tmp_path, monkeypatch):
    fine, calls = Runs.score, itertools.count()

    def score(self, *trial):
        if next(calls) < 2:
            raise (nt.UserError("no room."), RuntimeError("odd\nvery"))[next(calls) // 2]
        return fine(self, *trial)

    monkeypatch.setattr(Runs, "score", score)
    outcome = run_recipe("tune", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert len(outcome.out.splitlines()) == 5
    assert "(failed: no room.)" in outcome.out
    monkeypatch.setattr(Runs, "score", lambda *_: 1 / 0)
    outcome = run_recipe("tune", [*flags[:-1], "other"], tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == "error: no trial was completed: ZeroDivisionError: division by zero"


def test_the_settings_of_one_search_are_tried_again_in_another(flags, cheap, tmp_path):
    run_recipe("tune", flags, tmp_path)
    first = list(cheap)
    cheap.clear()
    run_recipe("tune", [*flags[:-1], "other"], tmp_path)
    assert cheap == first


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--strategies", "full"], "holds another search: --strategies was"),
        (
            ["--weight_decay", "0.1", "--seed", "3"],
            "holds another search: --weight_decay was 0.01 and is 0.1; --seed was 0 and is 3. Give what it began with",
        ),
        (["--strategy", "lora"], "--strategy is what tuning searches for"),
        (["--report_to", "tensorboard"], "--report_to is for one run"),
        (["--processes", "2"], "a trial runs in one process; start tune as one, and several times for several trials"),
        (["--levels", "a", "b"], "--levels is of --task sentiment, not of classification"),
        (["--trials", "0"], "--trials must be more than 0"),
        (["--metric_for_best_model", "f1_strict"], "--metric_for_best_model f1_strict is not a score of this task"),
        (["--task", "tagging"], "there is no task 'tagging'; the tasks are classification"),
        (["--output_dir", "mine"], "holds something other than a search"),
    ],
)
def test_what_cannot_be_is_one_line(flags, cheap, tmp_path, more, line):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    assert run_recipe("tune", [*flags[:-4], "--trials", "1", "--output_dir", "search"], tmp_path).status == 0
    outcome = run_recipe("tune", [*flags, *more], tmp_path)
    assert outcome.status == 2
    assert line in outcome.err.splitlines()[-1]


def test_it_needs_validation_rows_and_optuna(flags, tmp_path, monkeypatch):
    outcome = run_recipe("tune", [*flags[:2], "--validation_split_percentage", "0"], tmp_path)
    assert outcome.status == 2
    assert "tuning chooses on validation rows" in outcome.err
    monkeypatch.setitem(sys.modules, "optuna", None)
    outcome = run_recipe("tune", flags, tmp_path)
    assert outcome.status == 2
    assert 'pip install "nlp-transfer[tune]"' in outcome.err
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize("task", ["sentiment", "ner"])
def test_every_task_is_searched(task, task_flags, training_flags, cheap, tmp_path):
    outcome = run_recipe("tune", ["--task", task, *task_flags[task][:4], *training_flags, *task_flags[task][6:],
                                  "--trials", "1"], tmp_path)  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert f"nlp-transfer {task} --config runs/tune/best.yaml" in outcome.err
    told = yaml.safe_load((tmp_path / "runs" / "tune" / "best.yaml").read_text())
    assert ("tag_scheme" in told, "levels" in told) == (task == "ner", task == "sentiment")


def test_a_damaged_journal_is_told(flags, cheap, tmp_path):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "trials.log").write_text("not\nJSON\n")
    outcome = run_recipe("tune", flags, tmp_path)
    assert (outcome.status, "trials.log is damaged" in outcome.err.splitlines()[-1]) == (2, True)


def test_none_begins_after_the_time_is_up(flags, cheap, tmp_path, monkeypatch):
    run_recipe("tune", [*flags[:-4], "--trials", "1", "--output_dir", "search"], tmp_path)
    outcome = run_recipe("tune", [*flags, "--timeout", "1e-9"], tmp_path)
    assert (outcome.status, len(cheap)) == (0, 1)
