"""Trials run in processes of their own, fail alone, and are not done twice."""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path

import pytest

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.compare import trial_processes
from nlp_transfer.experiments.compare.comparison import other_versions
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.trial_processes import TimeLeft, run_trials, workers_for
from nlp_transfer.experiments.trial import Trial
from nlp_transfer.training.checkpointing.fingerprint import versions

FATES = ("well", "badly", "oddly", "killed", "well too")


def trial(name: str, fraction: float = 1.0, seed: int = 0) -> Trial:
    return Trial(Candidate(name, f"encoder of {name}", "full"), fraction, seed)


def work(some: Trial, job: Path, folder: Path) -> None:
    """Does as its name says, unless the job names a folder whose file `mended` says that all goes well now."""
    with open(job / "done.txt", "a") as file:
        file.write(f"{some.candidate.name}\n")
    print("what it says stands in its log", flush=True)
    if not (job / "mended").exists():
        if some.candidate.name == "badly":
            raise DataError("this cannot be read.")
        if some.candidate.name == "oddly":
            raise RuntimeError("two\nlines")
        if some.candidate.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    (folder / "result.json").write_text(json.dumps({"seconds": 1.0}))


def test_a_trial_that_fails_fails_alone_and_only_it_is_tried_again(tmp_path, caplog):
    trials = [trial(name) for name in FATES]
    folder = ComparisonFolder(tmp_path / "out")
    folder.open_for({"what": "it is"})
    with caplog.at_level(logging.INFO, "nlp_transfer"):
        failures = run_trials(trials, tmp_path, folder, work, workers=2)  # type: ignore[arg-type]
    assert [folder.has(some.name) for some in trials] == [True, False, False, False, True]
    assert failures[trials[1].name] == "this cannot be read."
    assert failures[trials[2].name] == "RuntimeError: two lines"
    assert "SIGKILL" in failures[trials[3].name]
    assert "badly failed (1 of train, seed 0): this cannot be read." in caplog.text
    assert "stands in its log" in (folder.path / "failed" / trials[2].name / "log.txt").read_text()
    assert not list(folder.path.rglob(".incomplete-*"))

    again = ComparisonFolder(tmp_path / "out", overwrite=True)
    with pytest.raises(OptionError, match="is in use by another comparison"):
        again.open_for({"what": "it is"})
    assert folder.has(trials[0].name)  # nothing of the one that works was touched
    folder.close()
    (tmp_path / "mended").touch()
    again = ComparisonFolder(tmp_path / "out")
    again.open_for({"what": "it is"})
    assert run_trials(trials, tmp_path, again, work, workers=1) == {}  # type: ignore[arg-type]
    assert all(again.has(some.name) for some in trials)
    assert other_versions(again, trials) == []
    for some, torch in zip(trials, ("1.0", "2.0", versions()["torch"]), strict=False):
        (again.of(some.name) / "result.json").write_text(json.dumps({"versions": {"torch": torch, "other": "1"}}))
    (said,) = other_versions(again, trials)
    assert said.startswith("2 of 5 trainings come from other versions")
    assert said.endswith(f": torch 1.0, 2.0 (now {versions()['torch']}).")
    done = (tmp_path / "done.txt").read_text().splitlines()
    assert sorted(done) == sorted([*FATES, "badly", "oddly", "killed"])


def test_what_is_left_is_told_from_trials_of_the_same_candidate():
    done = [trial("slow"), trial("quick", 0.4)]
    waiting = [trial("slow", seed=1), trial("quick", 0.4, 1), trial("quick", 0.9, 1)]
    seconds = {done[0].name: 100.0, done[1].name: 10.0}
    time_left = TimeLeft([*done, *waiting], done, seconds.__getitem__, workers=1)
    # A share of 0.9 is twice the work of 0.4, scoring included.
    assert time_left.left() == pytest.approx(100 + 10 + 20)
    time_left.failed(waiting[0], "it did")
    assert time_left.left() == pytest.approx(30)


def test_a_folder_refuses_what_it_does_not_hold(tmp_path):
    folder = ComparisonFolder(tmp_path / "out")
    assert not folder.path.exists()
    folder.open_for({"--learning_rate": 1e-3, "the train rows": "#1"})
    folder.open_for({"--learning_rate": 1e-3, "the weights of other": "#2"})  # more may be added
    with pytest.raises(OptionError, match=r"--learning_rate was 0.001 and is none; the train rows changed"):
        folder.open_for({"--learning_rate": None, "the train rows": "#3"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("all of it")
    with pytest.raises(OptionError, match="something other than a comparison"):
        ComparisonFolder(tmp_path / "other")
    ComparisonFolder(tmp_path / "other", overwrite=True).open_for({})
    assert (tmp_path / "other" / "thesis.txt").read_text() == "all of it"


def test_one_worker_at_least_and_no_more_than_trials_cores_and_memory_allow(monkeypatch):
    assert workers_for(5, 1) == 5
    monkeypatch.setattr(trial_processes, "_cores", lambda: 8)
    monkeypatch.setattr(trial_processes, "free_memory", lambda: 1e12)
    monkeypatch.setattr(trial_processes.hardware, "is_cpu_only", lambda: True)
    assert workers_for(None, 3) == 3
    monkeypatch.setattr(trial_processes, "_cores", lambda: 2)
    assert workers_for(None, 3) == 2
    monkeypatch.setattr(trial_processes, "free_memory", lambda: 1e9)
    assert workers_for(None, 3) == 1
