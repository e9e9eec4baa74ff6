"""A process that dies takes the others down, which say so; a signal ends them all, and they can be resumed."""

from __future__ import annotations

import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from accelerate import PartialState
from conftest import RECIPES

import nlp_transfer as nt

LOST = "error: another process of this run has died"
RESUME = "If the run wrote checkpoints, --resume continues it."


@pytest.fixture
def run(training_flags, task_flags, tmp_path):
    """`run(how, rank, *flags, through=())` is a training whose process of that rank ends so in its third step.

    `through` is a launcher; without one the recipe starts the processes.
    """

    def start(how: str, rank: int, *flags: str, through: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        told = [*task_flags["classify"], *training_flags, "--strategy", "full", "--output_dir", "run", *flags]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE_")} | {
            "OMP_NUM_THREADS": "1"
        }
        environment["PYTHONPATH"] = os.pathsep.join([str(RECIPES.parent / "tests"), environment.get("PYTHONPATH", "")])
        command = [sys.executable, *through, __file__, how, str(rank), *told]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    return start


@pytest.mark.whole
def test_a_process_that_is_killed_takes_the_other_down(run, tmp_path):
    dying = 0  # the one that speaks and writes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    file = RECIPES / "configs" / "accelerate" / "cpu_2.yaml"
    accelerate = ("-m", "accelerate.commands.launch", "--config_file", str(file), "--main_process_port", port)
    ended = run("killed", dying, through=accelerate)
    assert ended.returncode == 1
    assert (tmp_path / f"{dying} of 2").exists()
    assert ended.stderr.count(LOST) == 1
    root = ended.stderr[ended.stderr.index("Root Cause") :]
    assert f"rank      : {dying} " in root
    assert "SIGKILL" in root
    assert not (tmp_path / "run").exists()


def errors(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """What stands on stderr below the log, which ends with the trained weights."""
    lines = ended.stderr.splitlines()
    last = max(place for place, line in enumerate(lines) if line.startswith("Training "))
    return lines[last + 1 :]


@pytest.mark.whole
@pytest.mark.parametrize("rank", [0, 1])
def test_one_of_the_processes_that_a_recipe_starts_is_killed(run, tmp_path, rank):
    ended = run("killed", rank, "--processes", "2")
    assert ended.returncode == 137
    killed = f"error: process {rank} of 2 was killed (SIGKILL), as the system does where memory runs out. {RESUME}"
    assert errors(ended) == [killed]
    assert (tmp_path / f"{rank} of 2").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.whole
def test_one_of_the_processes_that_a_recipe_starts_crashes(run, tmp_path):
    ended = run("crashed", 1, "--processes", "2")
    assert ended.returncode == 1
    first, *_, last, whose = errors(ended)
    assert first == "Traceback (most recent call last):"
    assert (last, whose) == ("ZeroDivisionError: by nothing", "error: this is what process 1 of 2 ended with.")
    assert ended.stderr.count("Traceback") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.whole
def test_ctrl_c_stops_the_processes_that_a_recipe_starts_and_they_can_be_resumed(run, tmp_path):
    ended = run("interrupted", 0, "--processes", "2", "--checkpoint_every", "100", "steps")
    assert ended.returncode == 130
    (line,) = (line for line in errors(ended) if line.startswith("error"))
    assert line.startswith("error: stopped by SIGINT after step ")
    assert "Traceback" not in ended.stderr
    ended = run("well", 0, "--processes", "2", "--checkpoint_every", "100", "steps", "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "Resuming from" in ended.stderr
    assert (tmp_path / "run" / "metrics.json").is_file()


@pytest.mark.whole
def test_a_file_that_cannot_be_read_is_one_line_of_several_processes(run, tmp_path):
    (tmp_path / "bad.csv").write_text("lable,txt\na,b\n")
    ended = run("well", 0, "--processes", "2", "--train_file", "bad.csv")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: bad.csv has no column with a usual name for the text")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("message", "is_lost"), [("[gloo/transport/tcp/pair.cc:553] Connection closed by peer", True), ("shapes", False)]
)
def test_a_lost_process_is_a_line_and_nothing_else_is(message, is_lost, capsys, monkeypatch):
    def main() -> NoReturn:
        raise RuntimeError(message)

    monkeypatch.setenv("LOCAL_RANK", "1")  # which says nothing else
    with pytest.raises(SystemExit if is_lost else RuntimeError):
        nt.run_recipe(main)
    assert (LOST in capsys.readouterr().err) is is_lost


def end(how: str) -> None:
    state = PartialState()
    Path(f"{state.process_index} of {state.num_processes}").touch()
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crashed":
        raise ZeroDivisionError("by nothing")
    os.kill(os.getppid(), signal.SIGINT)  # as a terminal does, in which the launcher alone is


def end_in_the_third_step(how: str) -> None:
    """Have this process end so."""
    from nlp_transfer.training import steps

    update, calls = steps._update, 0

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            end(how)
        return update(*arguments)

    steps._update = counted


if __name__ == "__main__":
    _, how, rank, *rest = sys.argv
    sys.argv = ["classify.py", *rest]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    if os.environ.get("RANK") == rank and how != "well":
        end_in_the_third_step(how)
    runpy.run_path(str(RECIPES / "classify.py"), run_name="__main__")
