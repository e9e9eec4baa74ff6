"""The benchmark takes turns fairly, compares them rightly, and says in one line what it cannot do."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate.state import AcceleratorState
from conftest import RECIPES, run_recipe

import nlp_transfer as nt
from nlp_transfer.system import hardware

sys.path.insert(0, str(RECIPES / "benchmarks"))  # where a script finds the files beside it
import benchmark
import comparison
import few_shot
import peers


def turn(side, number, rows_per_second, seconds):
    work = {"rows": 64, "work_seconds": 64 / rows_per_second, "flops": 1e9, "precision": "no"}
    return {"side": side, "round": number, "seconds": seconds, "score": 0.5, **work}


def test_no_side_always_comes_first():
    order = comparison.interleaved(["ours", "plain", "trainer"], 4)
    rounds = [[side for number, side in order if number == i] for i in range(4)]
    assert [number for number, _ in order] == sorted(number for number, _ in order)
    assert rounds[0] == rounds[2] == ["ours", "plain", "trainer"]
    assert rounds[1] == rounds[3] == ["trainer", "plain", "ours"]


def test_ratios_are_taken_round_by_round():
    turns = [turn("ours", 0, 100, 10), turn("plain", 0, 50, 30)]
    turns += [turn("plain", 1, 25, 20), turn("ours", 1, 100, 10)]  # a machine that slowed down for plain alone
    turns += [turn("ours", 2, 10, 100), turn("plain", 2, 4, 250)]  # and for both
    found = comparison.compare(turns, {"no": 1e9})
    assert list(found) == ["ours", "plain"]
    assert found["plain"]["times_work"] == pytest.approx({"median": 2.5, "min": 2, "max": 4})
    assert found["plain"]["times_whole"] == pytest.approx({"median": 2.5, "min": 2, "max": 3})
    assert "times_work" not in found["ours"]
    assert (found["ours"]["rows_per_second"], found["plain"]["rows_per_second"]) == pytest.approx((100, 25))
    # A GFLOP in 64 / 100 seconds, of the GFLOP that the machine can do in one.
    assert found["ours"]["utilisation"] == pytest.approx(100 / 64)
    assert found["ours"]["seconds"] == 10


def test_a_turn_is_told_nothing_by_the_launcher():
    of_launcher = {"ACCELERATE_MIXED_PRECISION": "no", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    of_launcher |= {"LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x"}
    of_user = {"PATH": "/bin", "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    kept = benchmark.without_launcher(of_launcher | of_user | {"CUDA_VISIBLE_DEVICES": "2,3"})
    assert kept.items() >= of_user.items()
    assert not kept.keys() & of_launcher.keys()
    assert kept["CUDA_VISIBLE_DEVICES"] == "2"
    # `accelerate launch` sets this to 1 for all that do not: a turn would compute on one core
    assert "OMP_NUM_THREADS" not in benchmark.without_launcher(of_launcher | {"OMP_NUM_THREADS": "1"})
    assert benchmark.without_launcher({"OMP_NUM_THREADS": "1"})["OMP_NUM_THREADS"] == "1"


@pytest.fixture
def turns_in_this_process(monkeypatch):
    """Turns without the seconds that a new process takes."""

    def run(command, env, **_):
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setattr(sys, "argv", command[1:])
            peers.main()
        AcceleratorState._reset_state(True)
        return SimpleNamespace(returncode=0, stdout=out.getvalue(), stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(hardware, "gemm_peak", lambda precision: {"no": 1e11, "bf16": 4e11}[precision])


SHORT = ("--max_train_steps", "6", "--per_device_train_batch_size", "16", "--output_dir", "out")


@pytest.mark.parametrize(("task", "recipe"), [("classification", "classify"), ("ner", "ner")])
def test_every_side_does_the_same_work(task, recipe, checkpoint, task_flags, tmp_path, turns_in_this_process):
    flags = ["--task", task, "--model_name_or_path", checkpoint(), *task_flags[recipe], *SHORT]
    outcome = run_recipe("benchmarks/benchmark", [*flags, "--repeats", "1", "--learning_rate", "3e-3"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["benchmark.json", "benchmark.md", "out"]
    assert outcome.out == (tmp_path / "out" / "benchmark.md").read_text()
    found = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    ran = [peer for peer in benchmark.PEERS if peer not in found["skipped"]]
    assert set(found["skipped"]) == (set() if hardware.precision() == "bf16" else {"trainer_best"})
    assert list(found["training"]) == ["ours", *ran[:-1]]
    assert list(found["predicting"]) == ["ours_predicting", "pipeline"]
    training = [t for t in found["turns"] if t["side"] in found["training"]]
    # Four batches of 16 are all 64 rows, and two more. In train no place has two words, and peers have no I-LOC.
    assert {t["rows"] for t in training} == {96}
    assert len({t["trained_weights"] for t in training}) == (1 if task == "classification" else 2)
    assert len(training) == len(found["training"])
    assert all(t["seconds"] >= t["work_seconds"] > 0 and t["flops"] > 0 for t in found["turns"] if "flops" in t)
    # Both predict with one network.
    ours, theirs = found["predicting"].values()
    assert ours["score"] == theirs["score"] == found["training"]["ours"]["score"]


def test_strategies_train_what_their_peers_train(checkpoint, task_flags, tmp_path, turns_in_this_process):
    base = ["--model_name_or_path", checkpoint(), *task_flags["classify"], *SHORT, "--repeats", "1", "--peers", "plain"]
    like_lora = ["--lora_targets", "query", "key", "value", "--lora_dropout", "0.1"]
    for flags in (["freeze"], ["freeze", "--trainable_layers", "1"], ["lora", *like_lora]):
        outcome = run_recipe("benchmarks/benchmark", [*base, "--overwrite_output_dir", "--strategy", *flags], tmp_path)
        assert outcome.status == 0, outcome.err
        training = json.loads((tmp_path / "out" / "benchmark.json").read_text())["training"]
        assert training["ours"]["trained_weights"] == training["plain"]["trained_weights"]
        assert training["ours"]["flops"] < training["plain"]["flops"] or flags[0] == "lora"


def test_peers_are_scored_by_what_they_say_of_real_tokens():
    labels, tags = peers.Job("plain"), peers.Job("plain", task="ner")
    assert peers.score([(0, 0), (1, 0), (1, 1), (1, 1)], ["no", "yes"], labels) == 0.75
    assert peers.score([(0, 0), (1, 2)], ["no", "yes"], labels) == 0.5  # a label that train has not
    names = ["B-PER", "I-PER", "O"]
    found = [0, 1, 2, 0, 2]  # of which the last two are padding, or no first token
    assert peers.score([(found, [0, 1, 2, -100, -100])], names, tags) == 1
    assert peers.score([(found, [0, 2, 2, -100, -100])], names, tags) == 0
    assert peers.score([(found, [0, 1, 3, -100, -100])], names, tags) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--peers", "plain,jax"], "--peers jax is unknown; known are plain, trainer"),
        (["--peers", "plain", "plain"], "each once"),
        (["--suite", "slow"], "--suite slow is unknown; known are quick, full."),
        (["--task", "sentiment"], "--task sentiment is unknown"),
        (["--repeats", "0"], "--repeats must be more than 0; got 0."),
        (["--max_train_steps", "0"], "--max_train_steps must be more than 0; got 0."),
        (["--learning_rat", "1"], "did you mean --learning_rate?"),
        (["--strategy", "gradual"], "--strategy gradual is unknown; known are full, freeze, lora."),
        (["--strategy", "full", "--layer_lr_decay", "0.9"], "--layer_lr_decay is nothing that the peers can do"),
        (["--train_file", "gone.csv"], "gone.csv does not exist; check the path."),
    ],
)
def test_what_makes_no_sense_is_one_line_and_leaves_nothing(tmp_path, flags, says):
    outcome = run_recipe("benchmarks/benchmark", flags, tmp_path)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert list(tmp_path.iterdir()) == []


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = run_recipe("benchmarks/benchmark", [], tmp_path)
    assert (outcome.status, outcome.err.splitlines()[-1].count("--num_processes 1")) == (2, 1)


def test_a_side_that_cannot_run_here_is_named(checkpoint, task_flags, tmp_path, turns_in_this_process, monkeypatch):
    def lacking(job):
        importlib.import_module("no_such_library")

    monkeypatch.setitem(peers.SIDES, "trainer", lacking)
    flags = [
        "--model_name_or_path",
        checkpoint(),
        *task_flags["classify"],
        *SHORT,
        "--peers",
        "trainer",
        "--repeats",
        "2",
    ]
    outcome = run_recipe("benchmarks/benchmark", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "- trainer: skipped, for no_such_library is not installed.\n" in outcome.out
    found = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert [(t["round"], t["side"]) for t in found["turns"]] == [(0, "ours"), (1, "ours")]


@pytest.mark.whole
def test_a_turn_that_fails_is_one_line(tmp_path):
    """In a process of its own, as turns are."""
    job = {"files": {"train": str(tmp_path / "gone.jsonl")}, "encoder": "all-MiniLM-L6-v2"}
    with pytest.raises(nt.UserError) as error:
        benchmark.take_turn("plain", job, str(tmp_path))
    assert str(error.value).startswith("the turn of plain failed: FileNotFoundError: ")
    assert "gone.jsonl" in str(error.value)


def test_a_turn_that_fails_leaves_nothing(task_flags, tmp_path, monkeypatch):
    def failing(command, **_):
        return SimpleNamespace(returncode=-9, stdout="", stderr="a line\n")

    monkeypatch.setattr(subprocess, "run", failing)
    outcome = run_recipe("benchmarks/benchmark", [*task_flags["classify"], *SHORT], tmp_path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == "error: the turn of machine failed: signal 9 ended it."
    assert list(Path(tmp_path).iterdir()) == []


def test_few_shots_are_drawn_by_label_scored_and_taken_up_again(tmp_path, checkpoint, reviews, monkeypatch, capsys):
    """With a stand-in for the environment of SetFit; what is there already is not measured again."""
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "test"):
        (data / f"{split}.csv").write_text(Path(reviews[split]).read_text())
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "job = json.load(open(sys.argv[2]))\n"
        "assert len(job['train']) == 4\n"
        "labels = sorted({row['label'] for row in job['train']})\n"
        "answers = [[1.0, 0.0] if row['label'] == labels[0] else [0.4, 0.6] for row in job['test']]\n"
        "print(json.dumps({'labels': labels, 'probabilities': answers, 'seconds': 1.5}))\n"
    )
    python.chmod(0o755)
    flags = ["few_shot.py", "--folders", str(data), "--shots", "2", "--draws", "1", "--test_rows", "8",
             "--model_name_or_path", checkpoint(), "--output_dir", str(tmp_path / "out")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", flags)
    few_shot.main()
    kept = json.loads((tmp_path / "out" / "few_shot.json").read_text())["turns"]
    assert [turn["way"] for turn in kept] == ["few_shot", "head alone"]
    monkeypatch.setattr(sys, "argv", [*flags, "--setfit_python", str(python)])
    few_shot.main()
    turns = json.loads((tmp_path / "out" / "few_shot.json").read_text())["turns"]
    assert turns[:2] == kept
    assert turns[2]["accuracy"] == 1
    assert turns[2]["calibration_error"] == pytest.approx(0.2, abs=0.05)  # half the rows are right with 0.6
    assert "| data | 2 |" in capsys.readouterr().out
