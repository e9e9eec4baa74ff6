"""When does a run write down its state, and where does it go on?"""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from nlp_transfer.config import TrainingOptions
from nlp_transfer.errors import Interrupted, OptionError, UserError
from nlp_transfer.training.checkpointing import fingerprint
from nlp_transfer.training.checkpointing.checkpoint_files import Checkpoints, Saved
from nlp_transfer.training.checkpointing.run_state import State
from nlp_transfer.training.checkpointing.signals import noting_signals
from nlp_transfer.training.plan import Plan
from nlp_transfer.training.progress import Step
from nlp_transfer.training.steps import Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where in a run: after step `step`, in its `stage`, which began after `first_step`.

    `is_judged` says that there is no evaluation of this step to be done. `fed` names what the network was fed with:
    token ids, kept states, or states computed for each batch, which differ in rounding. `attempt` says which one of a
    run that has collapsed before, `before` how many steps it took until then: checkpoints are numbered on. `parts` are
    those in which a process took its share of the step, more than the options say where memory had run out.
    """

    stage: int
    first_step: int
    first_epoch: float
    step: int
    epoch: float
    learning_rate: float
    is_judged: bool
    fed: str
    attempt: int = 0
    before: int = 0
    parts: int | None = None

    def moved_to(self, step: Step, is_judged: bool) -> Place:
        """The same stage, after `step`."""
        return replace(
            self, step=step.number, epoch=step.epoch, learning_rate=step.learning_rate, is_judged=is_judged,
            parts=step.parts,
        )  # fmt: skip


class Keeper:
    """Keeps the state of a run in a folder: as often as the options say, and when a signal tells the run to stop.

    Without a folder it keeps nothing, and signals do what they always do. With several processes they agree after
    each step whether one of them was told to stop; on GPUs, where that would make them wait, each `logging_steps`.
    """

    def __init__(self, folder: str | Path | None, options: TrainingOptions, accelerator: Accelerator) -> None:
        self.checkpoints = Checkpoints(folder, options.keep_checkpoints) if folder else None
        self.accelerator = accelerator
        self.every, self.unit = options.checkpoint_interval or (0.0, "")
        self.agree_every = 1 if accelerator.device.type == "cpu" else options.logging_steps
        self.identity: fingerprint.Identity = {}
        self.began = time.perf_counter()
        self.seconds_spared = 0.0  # of a run that was not stopped
        self._before = 0.0
        self._last = time.monotonic()
        self._told: Callable[[], int] = lambda: 0

    def find(self, resume: str | None, known: Mapping[str, Any]) -> Saved | None:
        """The checkpoint to go on from: the newest for `resume` "", or the one at that path; None to begin.

        Raises OptionError where it is of a run of which not all that is `known` was so.
        """
        self.identity = dict(known)
        if resume is None or not self.checkpoints:
            return None
        saved = self._found(Path(resume) if resume else None)
        if saved is None:
            log.info("There is no checkpoint in %s yet: the run begins.", self.checkpoints.folder)
            return None
        self.require_same(saved, known)
        fingerprint.say_what_differs(saved.values["surroundings"], fingerprint.surroundings())
        self._before = saved.values["seconds"]
        log.info("Going on from %s.", saved.path)
        return saved

    def require_same(self, saved: Saved | None, known: Mapping[str, Any]) -> None:
        """Note more of what a run is, and raise OptionError where that is not so in `saved`."""
        self.identity |= known
        if saved:
            fingerprint.require_same(saved.values["run"], known)

    @property
    def seconds(self) -> float:
        """How long the run has taken, those parts of it that were stopped included."""
        return self._before + time.perf_counter() - self.began

    def require_room(self, trained: int) -> None:
        """Say what room checkpoints of so many weights that train will take. Every process calls it.

        Those that are there already give theirs. Each process raises OptionError where the disk has not enough.
        """
        if not self.checkpoints or not self.every:
            return
        refused: list[str | None] = [None]
        if self.accelerator.is_main_process:
            refused = [self._has_no_room(self.checkpoints, trained)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(refused)
        if refused[0]:
            raise OptionError(refused[0])

    def _has_no_room(self, checkpoints: Checkpoints, trained: int) -> str | None:
        there = next(folder for folder in checkpoints.folder.parents if folder.exists())
        # Weights, AdamW's two moments and the best weights, in fp32; a new one is whole before the oldest goes.
        needed, free = (checkpoints.keep + 1) * 4 * 4 * trained, shutil.disk_usage(there).free + checkpoints.bytes
        if needed > free:
            return (
                f"no room on disk for checkpoints in {checkpoints.folder}: they need {needed / 1e6:,.0f} MB and "
                f"{free / 1e6:,.0f} MB are free; free some, give a smaller --keep_checkpoints, or name an --output_dir "
                f"on another disk."
            )
        log.info("Checkpoints will take up to %s MB.", f"{needed / 1e6:,.0f}")
        return None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, a first signal is heeded by `after_step`."""
        with noting_signals() if self.checkpoints else contextlib.nullcontext(self._told) as self._told:
            yield

    def wants(self, number: int, plan: Plan, run_ends: bool) -> tuple[int, bool]:
        """The signal that tells the run to stop (0 if none does), and whether a checkpoint is due after a step."""
        if not self.checkpoints:
            return 0, False
        stop, due = self._told(), self._is_due(number, plan, run_ends)
        if self.accelerator.num_processes > 1 and (number % self.agree_every == 0 or number == plan.last_step):
            asked = torch.tensor([stop, due and self.accelerator.is_main_process], device=self.accelerator.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            return int(asked[0]), bool(asked[1])
        return (stop, due) if self.accelerator.num_processes == 1 else (0, due and self.unit != "minutes")

    def stops(self) -> int:
        """The signal that tells the run to stop, 0 if none does. Every process calls it, and hears the same."""
        stop = self._told() if self.checkpoints else 0
        if self.checkpoints and self.accelerator.num_processes > 1:
            told = torch.tensor(stop, device=self.accelerator.device)
            torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
            stop = int(told)
        return stop

    def keep(self, place: Place, state: State, trainer: Trainer) -> None:
        """Write a checkpoint. Every process calls it; each raises UserError where the disk is full."""
        assert self.checkpoints
        values, files = state.gather(trainer.optimizer, trainer.rates)
        values |= {
            "run": self.identity,
            "place": asdict(place),
            "seconds": self.seconds,
            "surroundings": fingerprint.surroundings(),
        }
        failed: list[str | None] = [None]
        if self.accelerator.is_main_process:
            try:
                self.checkpoints.write(place.before + place.step, values, files)
            except UserError as error:  # which the other processes wait to hear of
                failed = [str(error)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(failed)
        if failed[0]:
            raise UserError(failed[0])
        self._last = time.monotonic()

    def stop(self, number: int, step: int) -> None:
        """Leave the run, whose checkpoint is written, because of the signal `number`."""
        for tracker in self.accelerator.trackers:
            tracker.finish()
        name = signal.Signals(number).name
        raise Interrupted(number, f"stopped by {name} after step {step}; --resume goes on from there.")

    def _found(self, path: Path | None) -> Saved | None:
        """The same checkpoint for every process: the first one looks for it."""
        assert self.checkpoints
        found: list[Any] = [None]
        if self.accelerator.is_main_process:
            try:
                saved = self.checkpoints.at(path) if path else self.checkpoints.newest()
                found = [str(saved.path) if saved else None]
            except UserError as error:
                found = [error]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(found)
        if isinstance(found[0], UserError):
            raise found[0]
        if found[0] is None or self.accelerator.is_main_process:
            return saved if self.accelerator.is_main_process else None
        return self.checkpoints.at(Path(found[0]))

    def _is_due(self, number: int, plan: Plan, run_ends: bool) -> bool:
        if not self.every:
            return False
        if run_ends:  # scoring may take long, and be stopped
            return True
        if self.unit == "minutes":
            return time.monotonic() - self._last >= 60 * self.every
        if self.unit == "steps":
            return number % max(1, round(self.every)) == 0
        return (number - plan.first_step) % max(1, round(self.every * plan.steps_per_epoch)) == 0
