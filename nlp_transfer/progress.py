"""How far is a run, and how is it going?"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from nlp_transfer.errors import UserError


@dataclass(frozen=True)
class Step:
    """One update of the weights. `loss` is this process's part of the mean loss of a labelled item of the batch."""

    number: int
    epoch: float
    loss: Tensor
    learning_rate: float
    rows: int
    stage_ends: bool = False


class Progress:
    """The progress bar, the trackers, and the history of a run; silent on every process but the first."""

    def __init__(self, accelerator: Accelerator, every: int) -> None:
        self.accelerator = accelerator
        self.every = every
        self.rows = 0
        self.seconds = 0.0
        self.history: list[Mapping[str, float]] = []
        self._since = time.perf_counter()
        self._loss = torch.zeros((), device=accelerator.device)
        self._steps = 0
        self._bar = tqdm(disable=True)

    @contextlib.contextmanager
    def stage(self, name: str, steps: int) -> Iterator[None]:
        """A bar of its own for a stage of `steps` steps; time outside of stages does not count as training."""
        self._since = time.perf_counter()
        # disable=None: no bar where stderr is not a terminal.
        silent = None if self.accelerator.is_main_process and steps else True
        self._bar = tqdm(total=steps, desc=name, unit="step", disable=silent)
        try:
            yield
        finally:
            self._bar.close()
            self.seconds += time.perf_counter() - self._since

    def step(self, step: Step) -> None:
        """Count a step, and log the mean loss of the last `every` of them."""
        self.rows += step.rows
        self._loss += step.loss
        self._steps += 1
        if step.number % self.every == 0 or step.stage_ends:
            self.flush(step)
        self._bar.update()

    def flush(self, step: Step) -> None:
        """Log what has not been logged. UserError where the loss is no longer a number."""
        if not self._steps:
            return
        # The only place that waits for the device, and the processes for each other.
        loss = float(self.accelerator.reduce(self._loss, "sum")) / self._steps
        self._loss.zero_()
        self._steps = 0
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is no longer a number at step {step.number} (learning rate {step.learning_rate:.1e}); "
                f"try --mixed_precision no, or a smaller --learning_rate."
            )
        values = {"loss": loss, "learning_rate": step.learning_rate, "epoch": step.epoch}
        self.history.append({"step": step.number} | values)
        self.accelerator.log(values, step=step.number)
        speed = self.rows / (self.seconds + time.perf_counter() - self._since)
        self._bar.set_postfix_str(f"loss {loss:.3f}, {speed:.0f} rows/s")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside does not count as training."""
        self.seconds += time.perf_counter() - self._since
        yield
        self._since = time.perf_counter()

    def scores(self, step: Step, scores: Mapping[str, Any]) -> None:
        """Log an evaluation."""
        values = {f"validation_{k}": v for k, v in scores.items() if isinstance(v, float)}
        self.history.append({"step": step.number, "epoch": step.epoch} | values)
        self.accelerator.log(values, step=step.number)
