"""The process that is to verify a saved model, started early: its imports are done when the model is saved."""

from __future__ import annotations

import contextlib
import inspect
import subprocess
import sys

import nlp_transfer.run.fresh_process

_waiting: list[subprocess.Popen[str]] = []


def start() -> None:
    """Start the process, unless one waits already; beside our own imports, of one core, its imports cost nothing.

    It holds torch and transformers in memory until it is asked, and ends by itself where this process does.
    """
    if not _waiting:
        with contextlib.suppress(OSError):  # too many processes: another one is started when it is needed
            _waiting.append(started())


def taken() -> subprocess.Popen[str]:
    """The process that waits, which is the caller's from now on, or a new one."""
    while _waiting:
        process = _waiting.pop()
        if process.poll() is None:
            return process
        _close(process)
    return started()


def stop() -> None:
    """End the process that waits, if nobody has taken it."""
    while _waiting:
        process = _waiting.pop()
        process.kill()
        _close(process)


def started() -> subprocess.Popen[str]:
    """A new process, which imports what it needs, reads a request from its stdin and writes answers to its stdout."""
    # Else the working directory comes first: a tokenize.py there would be imported in place of Python's own.
    without_cwd = "import sys; sys.path[:] = [path for path in sys.path if path]\n"
    script = without_cwd + inspect.getsource(nlp_transfer.run.fresh_process)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _close(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            if stream:
                stream.close()
    process.wait()
