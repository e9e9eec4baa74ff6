"""The trials of a comparison in processes of their own, and the estimate of the time left."""

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
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import mean
from typing import Any

import joblib
import torch

from nlp_transfer.encoders.cost import free_memory
from nlp_transfer.errors import UserError, is_full_disk
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.trial_results import Job
from nlp_transfer.experiments.trial import Trial
from nlp_transfer.metrics.metric_registry import RegisteredMetric, metrics_for_processes, register_all
from nlp_transfer.system import hardware
from nlp_transfer.system.durations import in_words
from nlp_transfer.system.progress_bars import tqdm

log = logging.getLogger(__name__)

_MEMORY_PER_TRIAL = 4e9  # bytes
_GRACE_PERIOD = 10.0  # seconds between SIGTERM and SIGKILL
_SCORING = 0.1  # what scoring costs, beside training on all rows
_LINES = 20  # of the log at most, where there is no terminal

_PRELOADED = (
    "nlp_transfer.experiments.compare.trial_results", "peft", "sklearn.feature_extraction.text", "sklearn.metrics",
    "sklearn.model_selection", "sklearn.svm",
)  # fmt: skip

RunTrial = Callable[[Trial, Job, Path], None]
"""Runs a trial in this process, and writes its results to a folder."""


def run_trials(
    trials: Sequence[Trial], job: Job, folder: ComparisonFolder, run_trial: RunTrial, workers: int
) -> dict[str, str]:
    """Run the trials that `folder` has no result of, each in a process of its own, `workers` at once.

    Returns the reason of each trial that failed, by its name. A process that is killed fails its own trial alone.
    When this process ends, however it does, so do those that it started.
    """
    waiting = deque(trial for trial in trials if not folder.has(trial.name))
    time_left = TimeLeft(trials, [trial for trial in trials if folder.has(trial.name)], folder.seconds, workers)
    running: dict[BaseProcess, tuple[Trial, float]] = {}
    failures: dict[str, str] = {}
    threads = max(1, _cores() // workers)
    context, metrics = _context(), metrics_for_processes()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                trial = waiting.popleft()
                arguments = (trial, job, folder.begin(trial.name), run_trial, threads, metrics)
                process = context.Process(target=_run, args=arguments)
                process.start()
                running[process] = (trial, time.monotonic())
            connection.wait([process.sentinel for process in running], timeout=1.0)
            for process in [process for process in running if not process.is_alive()]:
                process.join()
                trial, began = running.pop(process)
                reason = _outcome(process, folder.hidden(trial.name))
                if reason is None:
                    folder.keep(trial.name)
                    time_left.done(trial, time.monotonic() - began)
                else:
                    failures[trial.name] = reason
                    folder.put_aside(trial.name)
                    time_left.failed(trial, reason)
            time_left.show(list(running.values()))
    finally:
        time_left.close()
        _end(running)
    return failures


def workers_for(wanted: int | None, trials: int) -> int:
    """How many trials run at once: as many as were asked for, or as cores and memory allow; on a GPU one."""
    if wanted:
        return wanted
    if not hardware.is_cpu_only():
        return 1
    return max(1, min(_cores(), trials, int(free_memory() // _MEMORY_PER_TRIAL)))


class TimeLeft:
    """The progress of a comparison: a bar on a terminal, elsewhere a line of the log now and then.

    A trial is estimated to take what those of the same candidate took, by the share of the rows; where none of the
    candidate was measured, what all others took.
    """

    def __init__(
        self, trials: Sequence[Trial], done: Sequence[Trial], seconds: Callable[[str], float], workers: int
    ) -> None:
        self._workers = workers
        self._seconds: dict[str, list[float]] = defaultdict(list)  # of a unit of work, by candidate
        for trial in done:
            self._measure(trial, seconds(trial.name))
        self._left = [trial for trial in trials if trial not in done]
        self._total = len(trials)
        self._bar = tqdm(total=len(trials), initial=len(done), unit="training", leave=False, disable=None)
        if done:
            log.info("%d of %d trainings are done already.", len(done), len(trials))

    def done(self, trial: Trial, seconds: float) -> None:
        """A trial has a result."""
        self._measure(trial, seconds)
        self._over(trial)

    def failed(self, trial: Trial, reason: str) -> None:
        """A trial has failed."""
        with tqdm.external_write_mode():
            log.warning(
                "%s failed (%g of train, seed %d): %s", trial.candidate.name, trial.fraction, trial.seed, reason
            )
        self._over(trial)

    def left(self, running: Sequence[tuple[Trial, float]] = ()) -> float | None:
        """Estimated seconds left, where any trial was measured; `running` are trials and when they began."""
        if not self._seconds:
            return None
        spent = {trial.name: time.monotonic() - began for trial, began in running}
        needed = [max(self._expected(trial) - spent.get(trial.name, 0.0), 0.0) for trial in self._left]
        return max(sum(needed) / self._workers, max(needed, default=0.0))

    def show(self, running: Sequence[tuple[Trial, float]]) -> None:
        """Refresh the bar."""
        seconds = self.left(running)
        estimate = "" if seconds is None else f"about {in_words(seconds)} left"
        names = ", ".join(trial.candidate.name for trial, _ in running)
        self._bar.set_postfix_str(f"{estimate}; {names}" if estimate else names)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _over(self, trial: Trial) -> None:
        self._left.remove(trial)
        self._bar.update()
        ended = self._total - len(self._left)
        step = max(1, self._total // _LINES)
        if self._bar.disable and self._left and ended % step == 0:
            seconds = self.left()
            estimate = "" if seconds is None else f"; about {in_words(seconds)} left"
            log.info("%d of %d trainings are done%s.", ended, self._total, estimate)

    def _measure(self, trial: Trial, seconds: float) -> None:
        self._seconds[trial.candidate.name].append(seconds / _work(trial))

    def _expected(self, trial: Trial) -> float:
        of_all = [seconds for measured in self._seconds.values() for seconds in measured]
        return mean(self._seconds.get(trial.candidate.name) or of_all) * _work(trial)


def _work(trial: Trial) -> float:
    return trial.fraction + _SCORING


def _run(
    trial: Trial, job: Job, folder: Path, run_trial: RunTrial, threads: int, metrics: Mapping[str, RegisteredMetric]
) -> None:
    """Run a trial in this process, which is there for nothing else; stdout, stderr and the log go to log.txt."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what was imported stays, and is not collected after each stage
    log_file = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log_file, stream)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("nlp_transfer").setLevel(logging.INFO)
    for name in [name for name in os.environ if _is_set_by_launcher(name)]:
        del os.environ[name]
    os.environ |= {"OMP_NUM_THREADS": str(threads), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    torch.set_num_threads(threads)
    register_all(metrics)
    try:
        run_trial(trial, job, folder)
    except Exception as error:
        traceback.print_exc()
        (folder / "failure.json").write_text(json.dumps(_reason(error)), encoding="utf-8")
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when its parent has ended, by a kill too: no one waits for the trial."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    message = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in message:
        return "out of memory; take fewer --workers or a smaller --per_device_train_batch_size."
    if is_full_disk(error):
        return "no room left on disk; free some."
    return f"{type(error).__name__}: {message[:300]}"


def _outcome(process: BaseProcess, folder: Path) -> str | None:
    """The reason why the trial of a process that has ended failed; None where it did not."""
    if (folder / "failure.json").is_file():
        return str(json.loads((folder / "failure.json").read_text(encoding="utf-8")))
    code = process.exitcode or 0
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as the system does where memory runs out; take fewer --workers."
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}."
    return None if code == 0 else f"its process ended with status {code}."


def _end(running: dict[BaseProcess, Any]) -> None:
    for process in running:
        process.terminate()
    for process in running:
        process.join(_GRACE_PERIOD)
        if process.is_alive():
            process.kill()


def _context() -> Any:
    """New processes start with torch and transformers loaded, where that is safe: loading takes seconds.

    They are forked from a server that has imported them and done nothing else; no thread of a pool exists yet. Where
    there is a GPU, or no fork, each process is spawned.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods() or not hardware.is_cpu_only():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


def _is_set_by_launcher(name: str) -> bool:
    return name.startswith(("ACCELERATE_", "TORCHELASTIC_", "MASTER_")) or name.endswith(("RANK", "WORLD_SIZE"))


def _cores() -> int:
    return max(1, joblib.cpu_count(only_physical_cores=True))
