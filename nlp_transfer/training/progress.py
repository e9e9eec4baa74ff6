"""The progress of a run: its bar, its trackers, its history, and the estimated time left."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from nlp_transfer.errors import UserError
from nlp_transfer.system.durations import in_words
from nlp_transfer.system.progress_bars import tqdm

log = logging.getLogger(__name__)

_MOST_SKIPPED = 3  # in a row
_TIMED_STEPS = 20  # of a stage, by which the time left is estimated
_WORTH_LOGGING = 120  # seconds left
_FINITE = torch.ones((), dtype=torch.bool)


@dataclass(frozen=True)
class Step:
    """One update of the weights. `loss` is this process's part of the mean loss of a labelled item of the batch.

    `is_finite`, `()`, says whether loss and gradient were finite; where they were not, the update was skipped. Each
    process took its share of the batch in `micro_batches`.
    """

    number: int
    epoch: float
    loss: Tensor
    learning_rate: float
    rows: int
    stage_ends: bool = False
    is_finite: Tensor = _FINITE
    micro_batches: int = 1


class Progress:
    """The progress bar, the trackers, and the history of a run; silent on every process but the first.

    Trackers count the `earlier_steps`, those before a restart, too: some of them ignore a step that they have had.
    """

    def __init__(self, accelerator: Accelerator, logging_steps: int, earlier_steps: int = 0) -> None:
        self.accelerator = accelerator
        self.logging_steps = logging_steps
        self.earlier_steps = earlier_steps
        self.rows = 0
        self.history: list[Mapping[str, float]] = []
        self.loss = torch.zeros((), device=accelerator.device)
        self._seconds = self._seconds_at_start = 0.0
        self._since: float | None = None
        self._unlogged_steps = 0
        self._skipped, self._in_a_row, self._most_in_a_row = torch.zeros(3, dtype=torch.long, device=accelerator.device)
        self._stage_steps = self._steps_left = 0
        self._slows_down = False
        self._bar = tqdm(disable=True)

    @property
    def seconds(self) -> float:
        """How long training has taken, evaluations left out."""
        return self._seconds + (0.0 if self._since is None else time.perf_counter() - self._since)

    @contextlib.contextmanager
    def stage(
        self, name: str, steps: int, done: int = 0, later_steps: int = 0, slows_down: bool = False
    ) -> Iterator[None]:
        """A bar of its own for a stage of `steps` steps; time outside of stages does not count as training.

        `later_steps` of the run follow the stage, which are slower ones where it `slows_down`.
        """
        self._seconds_at_start, self._since = self._seconds, time.perf_counter()
        self._stage_steps, self._steps_left, self._slows_down = 0, steps - done + later_steps, slows_down
        # disable=None: no bar where stderr is not a terminal.
        disable = None if self.accelerator.is_main_process and steps else True
        self._bar = tqdm(total=steps, initial=done, desc=name, unit="step", disable=disable)
        try:
            yield
        finally:
            self._bar.close()
            self._seconds, self._since = self.seconds, None

    def update(self, step: Step) -> None:
        """Count a step, and log the mean loss now and then. UserError where three steps in a row are skipped."""
        self.rows += step.rows
        # In fp16 a step counts as finite while the scaler looks for its scale, though its loss may be NaN.
        counts = step.is_finite & torch.isfinite(step.loss)
        self.loss += torch.where(counts, step.loss, 0.0)
        self._unlogged_steps += 1
        self._skipped += ~counts
        self._in_a_row = torch.where(step.is_finite, 0, self._in_a_row + 1)
        self._most_in_a_row = torch.maximum(self._most_in_a_row, self._in_a_row)
        if self.loss.device.type == "cpu":  # elsewhere it would wait for the device; `flush` does so anyway
            self._require_finite(step)
        if step.number % self.logging_steps == 0 or step.stage_ends:
            self.flush(step)
        self._bar.update()
        self._stage_steps += 1
        self._steps_left -= 1
        if self._stage_steps == _TIMED_STEPS:
            self._log_time_left(self._steps_left)

    def flush(self, step: Step) -> None:
        """Log the losses that have not been logged yet."""
        if not self._unlogged_steps:
            return
        self._require_finite(step)
        # The only place that waits for the device, and the processes for each other.
        skipped = int(self._skipped)
        taken = self._unlogged_steps - skipped
        loss = float(self.accelerator.reduce(self.loss, "sum")) / max(taken, 1)
        self.loss.zero_()
        self._skipped.zero_()
        self._unlogged_steps = 0
        if skipped:
            log.info("Up to step %d: skipped %d steps with a non-finite loss or gradient.", step.number, skipped)
        if not taken:
            return
        values = {"loss": loss, "learning_rate": step.learning_rate, "epoch": step.epoch}
        self.history.append({"step": step.number} | values)
        self.accelerator.log(values, step=self.earlier_steps + step.number)
        self._bar.set_postfix_str(f"loss {loss:.3f}, {self.rows / self.seconds:.0f} rows/s")

    def _log_time_left(self, steps: int) -> None:
        """Log how long so many steps will take, if minutes, at the pace of the steps of this stage so far."""
        seconds = (self.seconds - self._seconds_at_start) / self._stage_steps * steps
        if seconds >= _WORTH_LOGGING:
            left = in_words(seconds)
            left = f"at least {left} (later stages train more layers)" if self._slows_down else left
            log.info("Estimated time left: %s, plus evaluations.", left)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside does not count as training."""
        self._seconds, self._since = self.seconds, None
        yield
        self._since = time.perf_counter()

    def log_scores(self, step: Step, scores: Mapping[str, Any]) -> None:
        """Log an evaluation."""
        values = {f"validation_{k}": v for k, v in scores.items() if isinstance(v, float)}
        self.history.append({"step": step.number, "epoch": step.epoch} | values)
        self.accelerator.log(values, step=self.earlier_steps + step.number)

    def state_dict(self) -> dict[str, Any]:
        """The state as plain values, without `loss`, which each process has of its own."""
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "history": self.history,
            "unlogged_steps": self._unlogged_steps,
            "skipped": [int(count) for count in (self._skipped, self._in_a_row, self._most_in_a_row)],
        }

    def load_state_dict(self, values: Mapping[str, Any], loss: Tensor) -> None:
        """Load what `state_dict` returned, and the `loss` of that time."""
        self.rows, self._seconds, self._unlogged_steps = values["rows"], values["seconds"], values["unlogged_steps"]
        self._seconds_at_start = self._seconds
        self.history = list(values["history"])
        self.loss.copy_(loss)
        self._skipped, self._in_a_row, self._most_in_a_row = torch.tensor(values["skipped"], device=self.loss.device)

    def _require_finite(self, step: Step) -> None:
        if int(self._most_in_a_row) < _MOST_SKIPPED:
            return
        precision = self.accelerator.mixed_precision
        half = "--mixed_precision no (ModernBERT and DeBERTa are known for this in fp16)"
        raise UserError(
            f"the loss or its gradient was not finite in {_MOST_SKIPPED} steps in a row, up to step {step.number} "
            f"(learning rate {step.learning_rate:.1e}), and all of them were skipped; try "
            f"{'' if precision == 'no' else f'{half}, or '}a smaller --learning_rate."
        )
