"""How far is a run, and how is it going?"""

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
from tqdm import tqdm

from nlp_transfer.errors import UserError
from nlp_transfer.system.durations import in_words

log = logging.getLogger(__name__)

_MOST_UNSOUND = 3
_WORTH_TELLING = 120  # seconds that are left
_SOUND = torch.ones((), dtype=torch.bool)


@dataclass(frozen=True)
class Step:
    """One update of the weights. `loss` is this process's part of the mean loss of a labelled item of the batch.

    `is_sound`, `()`, says whether loss and gradient were finite; where they were not, the step was not taken. Each
    process took its share in `parts`, one after another.
    """

    number: int
    epoch: float
    loss: Tensor
    learning_rate: float
    rows: int
    stage_ends: bool = False
    is_sound: Tensor = _SOUND
    parts: int = 1


class Progress:
    """The progress bar, the trackers, and the history of a run; silent on every process but the first.

    Trackers count `before`, the steps of earlier attempts, too: some of them leave out a step that they have had.
    """

    def __init__(self, accelerator: Accelerator, every: int, before: int = 0) -> None:
        self.accelerator = accelerator
        self.every = every
        self.before = before
        self.rows = 0
        self.history: list[Mapping[str, float]] = []
        self.loss = torch.zeros((), device=accelerator.device)
        self._seconds = self._begun = 0.0
        self._since: float | None = None
        self._steps = 0
        self._unsound, self._in_a_row, self._most = torch.zeros(3, dtype=torch.long, device=accelerator.device)
        self._bar = tqdm(disable=True)

    @property
    def seconds(self) -> float:
        """How long training has taken, evaluations left out."""
        return self._seconds + (0.0 if self._since is None else time.perf_counter() - self._since)

    @contextlib.contextmanager
    def stage(self, name: str, steps: int, done: int = 0) -> Iterator[None]:
        """A bar of its own for a stage of `steps` steps; time outside of stages does not count as training."""
        self._begun, self._since = self._seconds, time.perf_counter()
        # disable=None: no bar where stderr is not a terminal.
        silent = None if self.accelerator.is_main_process and steps else True
        self._bar = tqdm(total=steps, initial=done, desc=name, unit="step", disable=silent)
        try:
            yield
        finally:
            self._bar.close()
            self._seconds, self._since = self.seconds, None

    def step(self, step: Step) -> None:
        """Count a step, and log the mean loss of the last `every` of them. UserError after three that are unsound."""
        self.rows += step.rows
        # In fp16 a step is sound while the scaler looks for its scale, and its loss may yet be no number.
        counts = step.is_sound & torch.isfinite(step.loss)
        self.loss += torch.where(counts, step.loss, 0.0)
        self._steps += 1
        self._unsound += ~counts
        self._in_a_row = torch.where(step.is_sound, 0, self._in_a_row + 1)
        self._most = torch.maximum(self._most, self._in_a_row)
        if self.loss.device.type == "cpu":  # elsewhere it would wait for the device; `flush` does so anyway
            self._require_sound(step)
        if step.number % self.every == 0 or step.stage_ends:
            self.flush(step)
        self._bar.update()

    def flush(self, step: Step) -> None:
        """Log what has not been logged."""
        if not self._steps:
            return
        self._require_sound(step)
        # The only place that waits for the device, and the processes for each other.
        unsound = int(self._unsound)
        taken = self._steps - unsound
        loss = float(self.accelerator.reduce(self.loss, "sum")) / max(taken, 1)
        self.loss.zero_()
        self._unsound.zero_()
        self._steps = 0
        if unsound:
            log.info("Up to step %d: %d not taken, for a loss or gradient was not finite.", step.number, unsound)
        if not taken:
            return
        values = {"loss": loss, "learning_rate": step.learning_rate, "epoch": step.epoch}
        self.history.append({"step": step.number} | values)
        self.accelerator.log(values, step=self.before + step.number)
        self._bar.set_postfix_str(f"loss {loss:.3f}, {self.rows / self.seconds:.0f} rows/s")

    def say_time_left(self, steps: int, left: int, slows_down: bool) -> None:
        """Log how long the steps that are `left` of the run will take, if minutes, judged by the first ones of a stage.

        It is no less than that where later stages are slower (`slows_down`).
        """
        seconds = (self.seconds - self._begun) / steps * left
        if seconds >= _WORTH_TELLING:
            told = f"{in_words(seconds)} more"
            told = f"at least {told} (later stages train more layers)" if slows_down else told
            log.info("By its first %d steps, training in the run will take %s, and evaluations beside.", steps, told)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside does not count as training."""
        self._seconds, self._since = self.seconds, None
        yield
        self._since = time.perf_counter()

    def scores(self, step: Step, scores: Mapping[str, Any]) -> None:
        """Log an evaluation."""
        values = {f"validation_{k}": v for k, v in scores.items() if isinstance(v, float)}
        self.history.append({"step": step.number, "epoch": step.epoch} | values)
        self.accelerator.log(values, step=self.before + step.number)

    def values(self) -> dict[str, Any]:
        """What it goes on from, as plain values; `loss`, of this process alone, belongs to it."""
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "history": self.history,
            "steps": self._steps,
            "unsound": [int(count) for count in (self._unsound, self._in_a_row, self._most)],
        }

    def put_back(self, values: Mapping[str, Any], loss: Tensor) -> None:
        """Go on from what `values` gave, and the `loss` of then."""
        self.rows, self._seconds, self._steps = values["rows"], values["seconds"], values["steps"]
        self._begun = self._seconds
        self.history = list(values["history"])
        self.loss.copy_(loss)
        self._unsound, self._in_a_row, self._most = torch.tensor(values["unsound"], device=self.loss.device)

    def _require_sound(self, step: Step) -> None:
        if int(self._most) < _MOST_UNSOUND:
            return
        precision = self.accelerator.mixed_precision
        half = "--mixed_precision no (ModernBERT and DeBERTa are known for this in fp16)"
        raise UserError(
            f"the loss or its gradient was not finite in {_MOST_UNSOUND} steps in a row, up to step {step.number} "
            f"(learning rate {step.learning_rate:.1e}), and none of them was taken; try "
            f"{'' if precision == 'no' else f'{half}, or '}a smaller --learning_rate."
        )
