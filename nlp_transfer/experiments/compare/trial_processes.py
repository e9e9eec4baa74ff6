"""How are the trials of a comparison run, so that none disturbs another and none is done twice?"""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import joblib
import torch

from nlp_transfer.encoders.memory import free_memory
from nlp_transfer.errors import UserError, is_full_disk
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.pace import Pace
from nlp_transfer.experiments.trial import Job, Trial
from nlp_transfer.system import hardware

log = logging.getLogger(__name__)

_ROOM = 4e9  # bytes of memory that a training may want
_SOON = 10.0  # seconds in which a process that is told to end has to

_LOADED_BEFORE = (
    "nlp_transfer.experiments.compare.trial_results", "nlp_transfer.metrics", "peft", "sklearn.feature_extraction.text",
    "sklearn.model_selection", "sklearn.svm",
)  # fmt: skip

Work = Callable[[Trial, Job, Path], None]
"""What does a trial, and leaves what it came to in a folder."""


def run_trials(trials: Sequence[Trial], job: Job, folder: ComparisonFolder, work: Work, workers: int) -> dict[str, str]:
    """Do the trials that `folder` has no result of, each in a process of its own, `workers` at once.

    Gives the reason why for each trial that failed, by its name. A process that is killed fails its own trial alone.
    When this process ends, however it does, so do those that it started.
    """
    waiting = deque(trial for trial in trials if not folder.has(trial.name))
    pace = Pace(trials, [trial for trial in trials if folder.has(trial.name)], folder.seconds, workers)
    running: dict[BaseProcess, tuple[Trial, float]] = {}
    failures: dict[str, str] = {}
    threads = max(1, _cores() // workers)
    context = _context()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                trial = waiting.popleft()
                process = context.Process(target=_do, args=(trial, job, folder.begin(trial.name), work, threads))
                process.start()
                running[process] = (trial, time.monotonic())
            connection.wait([process.sentinel for process in running], timeout=1.0)
            for process in [process for process in running if not process.is_alive()]:
                process.join()
                trial, began = running.pop(process)
                reason = _outcome(process, folder.hidden(trial.name))
                if reason is None:
                    folder.keep(trial.name)
                    pace.done(trial, time.monotonic() - began)
                else:
                    failures[trial.name] = reason
                    folder.put_aside(trial.name)
                    pace.failed(trial, reason)
            pace.show(list(running.values()))
    finally:
        pace.close()
        _end(running)
    return failures


def workers_for(wanted: int | None, trials: int) -> int:
    """How many trials run at once: as many as were wanted, or as cores and memory allow; on a GPU one."""
    if wanted:
        return wanted
    if not hardware.is_cpu_only():
        return 1
    return max(1, min(_cores(), trials, int(free_memory() // _ROOM)))


def _do(trial: Trial, job: Job, folder: Path, work: Work, threads: int) -> None:
    """Do a trial in this process, which is there for nothing else; what it says goes to log.txt."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what was imported stays, and need not be looked through after each stage
    log_file = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log_file, stream)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("nlp_transfer").setLevel(logging.INFO)
    for name in [name for name in os.environ if _is_of_a_launcher(name)]:
        del os.environ[name]
    os.environ |= {"OMP_NUM_THREADS": str(threads), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    torch.set_num_threads(threads)
    try:
        work(trial, job, folder)
    except Exception as error:
        traceback.print_exc()
        (folder / "failure.json").write_text(json.dumps(_reason(error)), encoding="utf-8")
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, be it by a kill: no one waits for the trial."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    said = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in said:
        return "out of memory; take fewer --workers or a smaller --per_device_train_batch_size."
    if is_full_disk(error):
        return "no room left on disk; free some."
    return f"{type(error).__name__}: {said[:300]}"


def _outcome(process: BaseProcess, folder: Path) -> str | None:
    """Why the trial failed whose process has ended; None where it did not."""
    if (folder / "failure.json").is_file():
        return str(json.loads((folder / "failure.json").read_text(encoding="utf-8")))
    code = process.exitcode or 0
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL), as the system does where memory runs out; take fewer --workers."
    if code < 0:
        return f"{signal.Signals(-code).name} ended it."
    return None if code == 0 else f"its process ended with status {code}."


def _end(running: dict[BaseProcess, Any]) -> None:
    for process in running:
        process.terminate()
    for process in running:
        process.join(_SOON)
        if process.is_alive():
            process.kill()


def _context() -> Any:
    """New processes begin with torch and transformers loaded, where that is safe: loading takes seconds.

    They are forked from a server that has imported them and done nothing else; no thread of a pool exists yet. Where
    there is a GPU, or no fork, each process begins from nothing.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods() or not hardware.is_cpu_only():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LOADED_BEFORE))
    return context


def _is_of_a_launcher(name: str) -> bool:
    return name.startswith(("ACCELERATE_", "TORCHELASTIC_", "MASTER_")) or name.endswith(("RANK", "WORLD_SIZE"))


def _cores() -> int:
    return max(1, joblib.cpu_count(only_physical_cores=True))
