"""The launcher of a recipe as several processes, which are started, watched and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from nlp_transfer.errors import Interrupted, OptionError
from nlp_transfer.system.last_words import FOLDER, LastWords, left

_POLL = 0.05  # seconds
_NOTICE_PERIOD = 3.0  # seconds in which the others notice by themselves that one has failed
_GRACE_PERIOD = 30.0  # seconds between SIGTERM and SIGKILL
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def launch_processes(count: int) -> None:
    """Run the command of this recipe as `count` processes of this machine, which share the work as those of `torchrun`.

    It returns in each of them, and where `count` is 1. In the process that starts them it does not: that one passes
    signals on, prints why the first one failed, and exits with its status; where one fails, the others are ended.
    OptionError where another launcher has started another number of processes.
    """
    if _launched() > 1:
        require_launched(count)
    elif count > 1:
        raise SystemExit(_run(count))


def require_launched(count: int) -> None:
    """OptionError unless `count` is the number of processes that were started, or 1, which leaves it to a launcher."""
    launched = _launched()
    if count in (1, launched):
        return
    if launched > 1:
        raise OptionError(
            f"--processes {count} beside a launcher that has started {launched} processes; leave --processes out."
        )
    raise OptionError(
        f"--processes {count}: this script starts none; call nlp_transfer.launch_processes in it, as the recipes do."
    )


def _launched() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


class _Ended(NamedTuple):
    """How processes ended: the status of each, and which of them ended by themselves, in their order."""

    statuses: Mapping[int, int]
    by_themselves: Sequence[int]


def _run(count: int) -> int:
    """Start the processes, wait for them, print the last words of one that failed; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="nlp-transfer-") as folder:
        words = [LastWords(Path(folder), rank) for rank in range(count)]
        environment, processes = _environment(count, folder), list[subprocess.Popen[bytes]]()
        with _passing_signals(processes, words) as received:
            try:
                while len(processes) < count and not received:
                    processes.append(_started(len(processes), environment))
                ended = _watched(processes, received)
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
        status, text = _outcome(ended, words, received)
    if text:
        print(text, file=sys.stderr)
    return status


def _environment(count: int, folder: str) -> dict[str, str]:
    """What torchrun and `accelerate launch` set for all processes of a machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    size = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    meeting_point = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    threads = max(1, _cores() // count)
    unless_set = {"OMP_NUM_THREADS": str(threads), "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1"}
    return {**unless_set, **os.environ, **size, **meeting_point, FOLDER: folder}


def _cores() -> int:
    import joblib  # with scikit-learn; looks at affinity and at the container's quota

    return int(joblib.cpu_count(only_physical_cores=True))


def _started(rank: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """One process, in a session of its own: what a terminal sends to all, as Ctrl-C, would reach it twice."""
    return subprocess.Popen(
        _command(),
        env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _command() -> list[str]:
    """The command that has started this process; where another program runs the recipe, that of the recipe's file."""
    command, arguments = sys.orig_argv[1:], sys.argv[1:]
    is_of_recipe = command[len(command) - len(arguments) :] == arguments
    return [sys.executable, *(command if is_of_recipe else sys.argv)]


@contextlib.contextmanager
def _passing_signals(
    processes: Sequence[subprocess.Popen[bytes]], words: Sequence[LastWords]
) -> Iterator[Sequence[int]]:
    """Inside, signals go to all processes, the third one as SIGKILL. Yields the numbers of those that came."""
    received: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        for process, own in zip(processes, words, strict=False):
            # Before its recipe runs, Python would answer SIGINT with a traceback; SIGHUP would end it at once.
            heeds = number == signal.SIGINT and own.own.exists()
            process.send_signal(signal.SIGKILL if len(received) > 2 else number if heeds else signal.SIGTERM)

    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched(processes: Sequence[subprocess.Popen[bytes]], received: Sequence[int]) -> _Ended:
    """Wait for the end of all processes; where one fails, the others are ended, unless a signal has asked them to."""
    statuses: dict[int, int] = {}
    by_themselves: tuple[int, ...] | None = None
    failed_at = asked_at = float("inf")
    while len(statuses) < len(processes):
        for rank, process in enumerate(processes):
            if rank not in statuses and process.poll() is not None:
                statuses[rank] = process.returncode
        now = time.monotonic()
        if any(statuses.values()):
            failed_at = min(failed_at, now)
        if not received and now - failed_at > _NOTICE_PERIOD and by_themselves is None:
            by_themselves, asked_at = tuple(statuses), now
            for process in processes:
                process.terminate()
        if now - asked_at > _GRACE_PERIOD:
            for process in processes:
                process.kill()
        time.sleep(_POLL)
    return _Ended(statuses, tuple(statuses) if by_themselves is None else by_themselves)


def _outcome(ended: _Ended, words: Sequence[LastWords], received: Sequence[int]) -> tuple[int, str]:
    """The exit status of the launcher, and what it says: the last words of the first process that failed.

    One that had none was killed, or has died outside of its recipe; one that noticed another's end says least.
    """
    failed = [rank for rank in ended.by_themselves if ended.statuses[rank]]
    if not failed:
        return 0, ""
    told = [rank for rank in failed if left(words[rank].own)]
    if received and not told:
        raise Interrupted(received[0])
    mute = [rank for rank in failed if not left(words[rank].lost)]
    rank = (told or mute or failed)[0]
    status, name = ended.statuses[rank], f"process {rank} of {len(words)}"
    text = left(words[rank].own) or left(words[rank].lost)
    if not text:
        text = f"error: {name} {_how(status)}. If the run wrote checkpoints, --resume continues it."
    elif len(text.splitlines()) > 1:
        text += f"\nerror: this is what {name} ended with."
    return _exit_status(status), text


def _how(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), as the system does where memory runs out"
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _exit_status(status: int) -> int:
    """As a shell has it: 128 and the number of the signal that has ended a process."""
    return status if status >= 0 else 128 - status
