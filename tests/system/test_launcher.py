"""Several processes of one command begin together, end together, and say once why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nlp_transfer as nt
from nlp_transfer.system import launcher

STARTED = 60.0  # seconds that a busy machine may need

SCRIPT = """
import os, signal, sys, time
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
rank, how = os.environ.get("RANK"), sys.argv[2]
Path(f"started-{rank}").touch()
if how == "early" and rank:
    time.sleep(60)

import nlp_transfer as nt
from nlp_transfer.system import last_words, launcher

launcher._NOTICE_PERIOD, last_words._LOOKS = 0.3, 0.1
if how == "stubborn":
    launcher._GRACE_PERIOD = 0.3


def main():
    nt.launch_processes(int(sys.argv[1]))
    if how == "alone":
        print(rank)
        return
    if how == "environment":
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
        Path(f"environment-{rank}").write_text(" ".join(os.environ[name] for name in names))
        assert "NLP_TRANSFER_LAST_WORDS" not in os.environ  # what this process starts has no launcher
        return
    if how == "both":
        raise nt.DataError("in.csv is empty")
    if how == "crash of both":
        raise ZeroDivisionError("by nothing")
    if rank == "1":
        if how == "error of one":
            raise nt.DataError("in.csv is empty")
        if how == "crash of one":
            raise ZeroDivisionError("by nothing")
        if how in ("killed", "killed and lost"):
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "left":
            os._exit(7)
        if how == "stubborn":
            os._exit(7)
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how == "killed and lost":
        time.sleep(0.1)
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    if how == "lost":
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection refused")
    Path(f"running-{rank}").touch()
    try:
        time.sleep(60 if how != "stubborn" else 2)
        if how == "stubborn":
            Path("survived").touch()
    finally:
        Path(f"cleaned-{rank}").touch()


nt.run_recipe(main)
"""


@pytest.fixture
def start(tmp_path):
    """`start(count, how)` is a script that launches so many processes, which end as `how` says."""
    (tmp_path / "job.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    begun: list[subprocess.Popen[str]] = []

    def begin(count: int, how: str, **more: str) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                [sys.executable, "job.py", str(count), how], cwd=tmp_path, env=environment | more,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def appear(*paths: Path) -> None:
    end = time.monotonic() + STARTED
    while not all(path.exists() for path in paths):
        assert time.monotonic() < end, f"none of {paths}"
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=STARTED)
    assert out == ""
    return process.returncode, err


def test_processes_have_what_torchrun_gives_them_and_share_the_cores(start, tmp_path, monkeypatch):
    assert ended(start(2, "environment")) == (0, "")
    threads = str(max(1, launcher._cores() // 2))
    assert (tmp_path / "environment-0").read_text() == f"0 0 2 2 127.0.0.1 {threads}"
    assert (tmp_path / "environment-1").read_text() == f"1 1 2 2 127.0.0.1 {threads}"
    assert ended(start(2, "environment", OMP_NUM_THREADS="5")) == (0, "")
    assert (tmp_path / "environment-1").read_text() == "1 1 2 2 127.0.0.1 5"  # what the user has set


def test_one_is_the_process_that_is_there_already(start):
    alone = start(1, "alone")
    assert (*alone.communicate(timeout=STARTED), alone.returncode) == ("None\n", "", 0)


RESUME = "If the run wrote checkpoints, --resume continues it."
ENDS = {
    "both": (2, "error: in.csv is empty\n"),
    "error of one": (2, "error: in.csv is empty\n"),
    "killed": (
        137, f"error: process 1 of 2 was killed (SIGKILL), as the system does where memory runs out. {RESUME}\n"
    ),
    "left": (7, f"error: process 1 of 2 ended with status 7. {RESUME}\n"),
    "lost": (1, "error: the processes lost each other: [gloo/transport/tcp/pair.cc:553] Connection refused\n"),
}  # fmt: skip
ENDS["killed and lost"] = ENDS["killed"]


@pytest.mark.parametrize("how", ENDS)
def test_why_they_ended_is_one_line_and_the_status_is_kept(start, how):
    assert ended(start(2, how)) == ENDS[how]


@pytest.mark.parametrize(("how", "rank"), [("crash of one", "1"), ("crash of both", "[01]")])
def test_a_crash_shows_its_traceback_once(start, how, rank):
    status, err = ended(start(2, how))
    assert status == 1
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.count("ZeroDivisionError: by nothing") == err.count("Traceback") == 1
    last = err.splitlines()[-1]
    assert last in [f"error: this is what process {i} of 2 ended with." for i in rank.strip("[]")]


def test_the_others_are_asked_to_end_before_they_are_made_to(start, tmp_path):
    assert ended(start(2, "error of one"))[0] == 2
    assert (tmp_path / "cleaned-0").exists()
    assert ended(start(2, "stubborn")) == ENDS["left"]
    assert not (tmp_path / "survived").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_ends_them_all_after_they_have_cleaned_up(start, tmp_path, number, status):
    process = start(2, "sleep")
    appear(tmp_path / "running-0", tmp_path / "running-1")
    process.send_signal(number)
    assert ended(process) == (status, "error: interrupted.\n")
    assert (tmp_path / "cleaned-0").exists()
    assert (tmp_path / "cleaned-1").exists()


def test_ctrl_c_before_a_recipe_runs_is_no_traceback(start, tmp_path):
    process = start(2, "early")
    appear(tmp_path / "started-0", tmp_path / "started-1")
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "error: interrupted.\n")


def test_a_launcher_that_is_killed_takes_them_along(start, tmp_path):
    process = start(2, "sleep")
    appear(tmp_path / "running-0", tmp_path / "running-1")
    process.kill()
    appear(tmp_path / "cleaned-0", tmp_path / "cleaned-1")


def test_another_launcher_decides(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    nt.launch_processes(1)
    nt.launch_processes(4)
    with pytest.raises(nt.OptionError, match=r"^--processes 2 beside a launcher that has started 4 processes; leave"):
        nt.launch_processes(2)


def test_a_script_that_starts_none_says_so(options, tmp_path):
    options.processes = 2
    with pytest.raises(nt.OptionError, match="--processes 2: this script starts none; call"):
        nt.make_accelerator(options, tmp_path)


def test_the_command_is_that_which_was_typed_or_the_script_itself(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/lib/classify.py", "--processes", "2"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "/bin/nlp-transfer", "classify", "--processes", "2"])
    assert launcher._command() == [sys.executable, *sys.orig_argv[1:]]
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "pytest", "tests"])
    assert launcher._command() == [sys.executable, *sys.argv]
