"""A search on disk: the trials of all its processes, and the best settings so far."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from nlp_transfer.errors import OptionError, UserError
from nlp_transfer.experiments.trial_fingerprint import as_json
from nlp_transfer.experiments.tune.search_space import Space, suggested
from nlp_transfer.experiments.tune.tuning_trials import Runs
from nlp_transfer.system.atomic_files import write_atomically
from nlp_transfer.system.cli import quiet
from nlp_transfer.training.checkpointing.fingerprint import changes

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

log = logging.getLogger(__name__)

_JOURNAL = "trials.log"
_LOCK = "search.lock"  # held for decisions that one process makes for all
BEST = "best.yaml"
_STARTING = timedelta(minutes=1)  # in which a trial that has begun records its process


@dataclass(frozen=True)
class Tried:
    """A trial: its place in time from 1 on, its settings, validation score, seconds, and how it ended.

    `state` is `done`, `pruned` (the score is that of its last evaluation), `failed`, for `reason`, or `running`, in
    another process.
    """

    number: int
    state: str
    strategy: str
    settings: Mapping[str, Any]
    score: float | None
    seconds: float | None
    reason: str = ""

    def __str__(self) -> str:
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"{self.strategy}{': ' * bool(settings)}{settings}"


class Search:
    """A study of Optuna in a folder, which any number of processes may run, at once or one after another.

    Every trial, and every score on its way, is in `trials.log` as soon as it is known. A trial whose process was killed
    or stopped is tried again. The best settings so far are in `best.yaml`. A run may be pruned after `patience`
    evaluations: where its best score is under the median of those that others had by then.

    Raises OptionError for a folder that holds something else, or a search with another `fingerprint`, with what
    changed.
    """

    def __init__(self, folder: Path, space: Space, runs: Runs, fingerprint: Mapping[str, Any], patience: int) -> None:
        import optuna  # an optional package
        from optuna.storages.journal import JournalFileBackend

        self.folder = folder
        self._lock = FileLock(folder / _LOCK)
        self.space = space
        self.runs = runs
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / _JOURNAL).is_file()):
            raise OptionError(f"--output_dir {folder} holds something other than a search; name another folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"--output_dir {folder} cannot be created: {error.strerror}.") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            self.study: Study = optuna.create_study(
                study_name="tune",
                storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / _JOURNAL))),
                direction=runs.direction,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=patience),
                load_if_exists=True,
            )
        except (ValueError, KeyError) as error:
            raise OptionError(f"{folder / _JOURNAL} is damaged ({error}); name another --output_dir.") from error
        self._require_same(as_json(fingerprint))

    def run(self, trials: int, until: float, usual: Sequence[Mapping[str, Any]]) -> None:
        """Try settings until there are so many `trials`, the `usual` ones first; none begins after `until`.

        `until` is a time as `time.time` gives it. A trial that fails is logged, and the next one begins. Raises what a
        signal raises.
        """
        import optuna

        if not self.study.get_trials(deepcopy=False):
            for parameters in usual[:trials]:
                self.study.enqueue_trial(dict(parameters), skip_if_exists=True)
        with self._alive() as name:
            while time.time() < until:
                self._enqueue_lost_trials()
                if len(self._counted()) >= trials:
                    break
                # Of its own for each trial, so that a search that was stopped resumes as it would have gone on.
                seed = self.runs.setup.training.seed + len(self.study.get_trials(deepcopy=False))
                self.study.sampler = optuna.samplers.TPESampler(seed=seed)
                trial = self.study.ask()
                trial.set_user_attr("process", name)
                if sum(other.number < trial.number for other in self._counted()) >= trials:  # another process was first
                    self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                    break
                self._try(trial, trials)
        self._write_best()  # a process that was killed may have recorded a trial, and no more

    def tried(self) -> list[Tried]:
        """All trials, the best first, those without a score last."""
        tried = [_as_tried(place, trial) for place, trial in enumerate(self._counted(), start=1)]
        sign = -1 if self.runs.direction == "maximize" else 1
        order = ["done", "pruned", "running", "failed"]
        return sorted(tried, key=lambda t: (order.index(t.state), sign * (t.score or 0.0), t.number))

    def _try(self, trial: Trial, trials: int) -> None:
        from optuna import TrialPruned
        from optuna.trial import TrialState

        began = time.perf_counter()
        try:
            strategy, settings = suggested(trial, self.space)
            trial.set_user_attr("strategy", strategy)
            trial.set_user_attr("settings", settings)
            trial.set_user_attr("name", self.runs.trial(strategy, settings).name)
            known = self._known(trial)
            with quiet():
                score = self.runs.score(trial, strategy, settings) if known is None else known
            if math.isnan(score):
                raise UserError(f"its {self.runs.setup.metric} is not a number.")
            self.study.tell(trial, score)
        except TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            reason = kind + (str(error).strip().splitlines() or ["no reason given"])[0]
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=TrialState.FAIL)
        except BaseException:  # the process is told to end
            self._try_again(trial.number, trial.params)
            raise
        tried = next(
            _as_tried(place, t) for place, t in enumerate(self._counted(), start=1) if t.number == trial.number
        )
        outcome = f"{self.runs.setup.metric} {tried.score:.4f}" if tried.score is not None else tried.reason
        seconds = time.perf_counter() - began
        log.info("Trial %d of %d (%s): %s, %s, %.0f s.", tried.number, trials, tried, tried.state, outcome, seconds)
        self._write_best()

    def _known(self, trial: Trial) -> float | None:
        """The score of a trial of the same name, which would be the same again."""
        for other in self.study.get_trials(deepcopy=False):
            if other.state.name == "COMPLETE" and other.user_attrs["name"] == trial.user_attrs["name"]:
                return other.value
        return None

    def _write_best(self) -> None:
        with self._lock:  # or what another process read a moment ago might be written last
            done = [trial for trial in self.tried() if trial.state == "done"]
            if done:
                write_atomically(self.folder / BEST, self.runs.options_file(done[0].strategy, done[0].settings))

    def _counted(self) -> list[FrozenTrial]:
        """The trials that have begun, but for those that were lost, which failed without a reason."""
        return [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.name != "WAITING" and not (trial.state.name == "FAIL" and "reason" not in trial.user_attrs)
        ]

    @contextmanager
    def _alive(self) -> Iterator[str]:
        """Hold a lock by which other processes know that this one is alive, and yield its name."""
        name = f"process-{uuid.uuid4().hex[:12]}.lock"
        with FileLock(self.folder / name):
            try:
                yield name
            finally:
                (self.folder / name).unlink(missing_ok=True)

    def _enqueue_lost_trials(self) -> None:
        """Enqueue again the trials whose process has ended, each by one process alone."""
        with self._lock:
            for trial in self._counted():
                if trial.state.name == "RUNNING" and self._is_lost(trial):
                    self._try_again(trial.number, trial.params)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        name = trial.user_attrs.get("process")
        if name is None:
            return trial.datetime_start is not None and datetime.now() - trial.datetime_start > _STARTING
        if not (self.folder / name).exists():
            return True
        try:
            with FileLock(self.folder / name, timeout=0):
                (self.folder / name).unlink(missing_ok=True)
                return True
        except Timeout:
            return False

    def _try_again(self, number: int, parameters: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState

        self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        if parameters:
            self.study.enqueue_trial(dict(parameters))

    def _require_same(self, fingerprint: Mapping[str, Any]) -> None:
        """Record the fingerprint of the search, or raise OptionError where it was another one."""
        has_trials = bool(self.study.get_trials(deepcopy=False))  # asked first: who adds trials has recorded before
        before = self.study.user_attrs.get("fingerprint")
        if before is None and has_trials:
            raise OptionError(
                f"--output_dir {self.folder} holds a search of an earlier version of nlp_transfer; name another folder."
            )
        if before is None:
            self.study.set_user_attr("fingerprint", fingerprint)
            return
        changed = changes(before, fingerprint) or [f"{name} is new" for name in fingerprint if name not in before]
        if changed:
            raise OptionError(
                f"--output_dir {self.folder} holds another search: {'; '.join(changed)}. Give what it began with, or "
                "name another folder."
            )


def _as_tried(number: int, trial: FrozenTrial) -> Tried:
    state = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}[trial.state.name]
    known = trial.user_attrs
    seconds = trial.duration.total_seconds() if trial.duration else None
    return Tried(
        *(number, state, known.get("strategy", "?"), known.get("settings", {}), trial.value, seconds),
        known.get("reason", ""),
    )
