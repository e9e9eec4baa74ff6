"""The checkpoint manager of a run: when a checkpoint is written, and from which one the run resumes."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.errors import Interrupted, OptionError, UserError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.training.checkpointing import fingerprint
from nlp_transfer.training.checkpointing.checkpoint_files import CheckpointFolder, SavedCheckpoint
from nlp_transfer.training.checkpointing.run_state import RunState
from nlp_transfer.training.checkpointing.signals import deferred_signals
from nlp_transfer.training.plan import Plan
from nlp_transfer.training.progress import Step
from nlp_transfer.training.trainer import Trainer

log = logging.getLogger(__name__)

_FORMAT = 2  # raised when what a checkpoint holds comes to mean something else


@dataclass(frozen=True)
class ResumePoint:
    """Where a run resumes: after step `step`, in its `stage`, whose steps follow `first_step`.

    `is_evaluated` says that no evaluation of this step is due any more. `inputs` names what the network was fed with:
    token ids, cached activations, or activations computed for each batch, which differ in rounding. `attempt` counts
    the restarts after a collapse, and `earlier_steps` the steps before the last of them; checkpoints are numbered on.
    `micro_batches` are those of a process, more than the options say where memory had run out.
    """

    stage: int
    first_step: int
    first_epoch: float
    step: int
    epoch: float
    learning_rate: float
    is_evaluated: bool
    inputs: str
    attempt: int
    earlier_steps: int
    micro_batches: int | None

    @classmethod
    def start_of(cls, stage: int, last: Step, attempt: int, earlier_steps: int) -> ResumePoint:
        """The point before the first step of a stage, which follows the step `last`."""
        return cls(
            stage, last.number, last.epoch, last.number, last.epoch, 0.0, is_evaluated=True, inputs="",
            attempt=attempt, earlier_steps=earlier_steps, micro_batches=None,
        )  # fmt: skip

    @classmethod
    def read(cls, saved: SavedCheckpoint) -> ResumePoint:
        """The point at which a checkpoint was written."""
        return cls(**saved.values["resume_point"])

    def after(self, step: Step, is_evaluated: bool) -> ResumePoint:
        """The point in the same stage after `step`."""
        return replace(
            self, step=step.number, epoch=step.epoch, learning_rate=step.learning_rate, is_evaluated=is_evaluated,
            micro_batches=step.micro_batches,
        )  # fmt: skip


class CheckpointManager:
    """Writes the state of a run to a folder: as often as the options say, and when a signal asks the run to stop.

    Without a folder it writes nothing, and signals do what they always do. With several processes they agree after
    each step whether one of them received a signal; on GPUs, where that would make them wait, each `logging_steps`.
    """

    def __init__(self, folder: str | Path | None, options: TrainingOptions, accelerator: Accelerator) -> None:
        self.checkpoints = CheckpointFolder(folder, options.keep_checkpoints) if folder else None
        self.accelerator = accelerator
        self.every, self.unit = options.checkpoint_interval or (0.0, "")
        self.agree_every = 1 if accelerator.device.type == "cpu" else options.logging_steps
        self.identity: fingerprint.Identity = {}
        self.seconds_spared = 0.0  # of a run that was not stopped
        self._started_at = time.perf_counter()
        self._earlier_seconds = 0.0
        self._saved_at = time.monotonic()
        self._received_signal: Callable[[], int] = lambda: 0

    @property
    def seconds(self) -> float:
        """How long the run has taken, including what it took before it was stopped."""
        return self._earlier_seconds + time.perf_counter() - self._started_at

    def find(self, resume: str | None, identity: fingerprint.Identity) -> SavedCheckpoint | None:
        """The checkpoint to resume from: the newest for `resume` "", or the one at that path; None to start.

        Raises OptionError for a checkpoint of a run with another `identity`, or of another version of this package.
        """
        self.identity = dict(identity)
        if resume is None or not self.checkpoints:
            return None
        saved = self._find(self.checkpoints, Path(resume) if resume else None)
        if saved is None:
            log.info("No checkpoint in %s yet: starting from the beginning.", self.checkpoints.folder)
            return None
        if saved.values.get("format") != _FORMAT:
            raise OptionError(
                f"{saved.path} was written by another version of nlp_transfer, which this one cannot resume; start "
                f"over with --overwrite_output_dir."
            )
        fingerprint.require_same(saved.values["run"], identity)
        fingerprint.log_differences(saved.values["environment"], fingerprint.environment())
        self._earlier_seconds = saved.values["seconds"]
        log.info("Resuming from %s.", saved.path)
        return saved

    def require_same_inputs(self, saved: SavedCheckpoint | None, model: TransferModel, train: TokenInputs) -> None:
        """OptionError where the weights or the tokens are not those of the run that wrote `saved`."""
        if not self.checkpoints:
            return
        identity = fingerprint.weights_of(model) | fingerprint.tokens_of(train.lengths)
        self.identity |= identity
        if saved:
            fingerprint.require_same(saved.values["run"], identity)

    def require_disk_room(self, trained: int) -> None:
        """Log the room on disk that checkpoints of so many trained weights take. Every process calls it.

        Checkpoints that are there already make way. Each process raises OptionError where the disk has too little.
        """
        if not self.checkpoints or not self.every:
            return
        errors: list[str | None] = [None]
        if self.accelerator.is_main_process:
            errors = [_disk_room_error(self.checkpoints, trained)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(errors)
        if errors[0]:
            raise OptionError(errors[0])

    @contextlib.contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Inside, a first SIGTERM or SIGINT is reported by `requested`, so that the run stops after a step."""
        deferred = deferred_signals() if self.checkpoints else contextlib.nullcontext(self._received_signal)
        with deferred as self._received_signal:
            yield

    def requested(self, step: int, plan: Plan, run_ends: bool) -> tuple[int, bool]:
        """The signal that asks the run to stop (0 for none), and whether a checkpoint is due after a step.

        Every process calls it, and gets the same.
        """
        if not self.checkpoints:
            return 0, False
        stop, is_due = self._received_signal(), self._is_due(step, plan, run_ends)
        if self.accelerator.num_processes > 1 and (step % self.agree_every == 0 or step == plan.last_step):
            ours = torch.tensor([stop, is_due and self.accelerator.is_main_process], device=self.accelerator.device)
            torch.distributed.all_reduce(ours, torch.distributed.ReduceOp.MAX)
            return int(ours[0]), bool(ours[1])
        return (stop, is_due) if self.accelerator.num_processes == 1 else (0, is_due and self.unit != "minutes")

    def stop_signal(self) -> int:
        """The signal that asks the run to stop, 0 for none. Every process calls it, and gets the same."""
        stop = self._received_signal() if self.checkpoints else 0
        if self.checkpoints and self.accelerator.num_processes > 1:
            ours = torch.tensor(stop, device=self.accelerator.device)
            torch.distributed.all_reduce(ours, torch.distributed.ReduceOp.MAX)
            stop = int(ours)
        return stop

    def save(self, point: ResumePoint, state: RunState, trainer: Trainer) -> None:
        """Write a checkpoint. Every process calls it; each raises UserError where the disk is full."""
        assert self.checkpoints
        values, files = state.gather(trainer.optimizer, trainer.lr_scheduler)
        values |= {
            "format": _FORMAT,
            "run": self.identity,
            "resume_point": asdict(point),
            "seconds": self.seconds,
            "environment": fingerprint.environment(),
        }
        errors: list[str | None] = [None]
        if self.accelerator.is_main_process:
            try:
                self.checkpoints.write(point.earlier_steps + point.step, values, files)
            except UserError as error:  # which the other processes wait for
                errors = [str(error)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(errors)
        if errors[0]:
            raise UserError(errors[0])
        self._saved_at = time.monotonic()

    def interrupt(self, number: int, step: int) -> None:
        """Leave the run, whose checkpoint is written, because of the signal `number`."""
        for tracker in self.accelerator.trackers:
            tracker.finish()
        name = signal.Signals(number).name
        raise Interrupted(number, f"stopped by {name} after step {step}; --resume continues from there.")

    def _find(self, checkpoints: CheckpointFolder, path: Path | None) -> SavedCheckpoint | None:
        """The same checkpoint for every process: the first one looks for it."""
        saved: SavedCheckpoint | None = None
        answers: list[Any] = [None]
        if self.accelerator.is_main_process:
            try:
                saved = checkpoints.at(path) if path else checkpoints.newest()
                answers = [str(saved.path) if saved else None]
            except UserError as error:
                answers = [error]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(answers)
        if isinstance(answers[0], UserError):
            raise answers[0]
        if answers[0] is None or self.accelerator.is_main_process:
            return saved
        return checkpoints.at(Path(answers[0]))

    def _is_due(self, step: int, plan: Plan, run_ends: bool) -> bool:
        if not self.every:
            return False
        if run_ends:  # scoring may take long, and be stopped
            return True
        if self.unit == "minutes":
            return time.monotonic() - self._saved_at >= 60 * self.every
        if self.unit == "steps":
            return step % max(1, round(self.every)) == 0
        return (step - plan.first_step) % max(1, round(self.every * plan.steps_per_epoch)) == 0


def _disk_room_error(checkpoints: CheckpointFolder, trained: int) -> str | None:
    existing = next(folder for folder in checkpoints.folder.parents if folder.exists())
    # Weights, AdamW's two moments and the best weights, in fp32; a new one is complete before the oldest goes.
    needed, free = (checkpoints.keep + 1) * 4 * 4 * trained, shutil.disk_usage(existing).free + checkpoints.bytes
    if needed > free:
        return (
            f"no room on disk for checkpoints in {checkpoints.folder}: they need {needed / 1e6:,.0f} MB and "
            f"{free / 1e6:,.0f} MB are free; free some, give a smaller --keep_checkpoints, or name an --output_dir "
            f"on another disk."
        )
    log.info("Checkpoints will take up to %s MB.", f"{needed / 1e6:,.0f}")
    return None
