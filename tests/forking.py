"""A server that forks the processes of a test, so that each need not import everything again.

It has imported the libraries, and computed nothing: that costs the seconds of an import once for all tests of a
pytest process. `accelerate launch`, which is torchrun below, is tried by test_dying.py.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    ["nlp_transfer.training.loop", "nlp_transfer.run.write_run", "peft", "sklearn.metrics", "sklearn.svm"]
)
_SECONDS = 240


def started(folder: Path, script: Path, *arguments: str) -> multiprocessing.process.BaseProcess:
    """A script that runs in `folder` as a process of its own, for a test to kill."""
    process = _FORKING.Process(target=_run, args=(str(folder), dict(os.environ), str(script), arguments, 0))
    process.start()
    return process


class Said(NamedTuple):
    """What all processes wrote, one after another."""

    stdout: str
    stderr: str


def in_processes(count: int, folder: Path, script: Path, *arguments: str) -> Said:
    """Run a script in `folder` as `count` processes that know of each other, as torchrun does; all must end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "ACCELERATE_USE_CPU"} | shared
    ranks = []
    with _environment(environment):  # the server keeps that of its start: threads of libraries are counted there
        for rank in range(count):
            own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            ranks.append(_FORKING.Process(target=_run, args=(str(folder), own, str(script), arguments, rank)))
            ranks[-1].start()
    end = time.monotonic() + _SECONDS
    for process in ranks:
        process.join(max(0, end - time.monotonic()))
    statuses = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
        process.join()
    said = Said(*("".join((folder / f".{rank}.{name}").read_text() for rank in range(count)) for name in Said._fields))
    for rank in range(count):
        for name in Said._fields:
            (folder / f".{rank}.{name}").unlink()
    assert statuses == [0] * count, f"{statuses}\n{said.stderr}"
    return said


def in_two_processes(folder: Path, script: Path, *arguments: str) -> Said:
    """`in_processes` with two of them."""
    return in_processes(2, folder, script, *arguments)


def _run(folder: str, environment: dict[str, str], script: str, arguments: tuple[str, ...], rank: int) -> None:
    """One process: a script as its own main program, in a folder, with its output in files there."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(f".{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    sys.argv = [script, *arguments]
    sys.path[:0] = [str(Path(script).parent), str(Path(__file__).parent)]
    runpy.run_path(script, run_name="__main__")


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
