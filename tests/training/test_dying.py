"""`accelerate launch` starts as many processes as its file says; one that dies takes the others down, which say so."""

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


@pytest.mark.whole
def test_a_process_that_is_killed_takes_the_other_down(training_flags, task_flags, tmp_path):
    dying = 0  # the one that speaks and writes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    file = RECIPES / "configs" / "accelerate" / "cpu_2.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]
    flags = [*task_flags["classify"], *training_flags, "--strategy", "full", "--output_dir", "run"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE_")} | {"OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(RECIPES.parent / "tests"), environment.get("PYTHONPATH", "")])
    run = subprocess.run(
        [*launch, "--main_process_port", port, __file__, str(dying), *flags],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 1
    assert (tmp_path / f"{dying} of 2").exists()
    assert run.stderr.count(LOST) == 1
    root = run.stderr[run.stderr.index("Root Cause") :]
    assert f"rank      : {dying} " in root
    assert "SIGKILL" in root
    assert not (tmp_path / "run").exists()


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


def die(*_: Any, **__: Any) -> NoReturn:
    state = PartialState()
    Path(f"{state.process_index} of {state.num_processes}").touch()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main() -> None:
    """A recipe whose process is killed in the third step."""
    from nlp_transfer.training import steps

    update, calls = steps._update, 0

    def third(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return die() if calls == 3 else update(*arguments)

    steps._update = third


if __name__ == "__main__":
    _, rank, *rest = sys.argv
    sys.argv = ["classify.py", *rest]
    if os.environ["RANK"] == rank:
        main()
    runpy.run_path(str(RECIPES / "classify.py"), run_name="__main__")
