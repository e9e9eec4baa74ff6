"""The plan of a stage: how many steps it takes, and after which of them it is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.strategies.strategy import Stage
from nlp_transfer.training.progress import Step


@dataclass(frozen=True)
class Plan:
    """How many steps a stage takes, from which one on, and after which ones it is evaluated.

    `lengths`, `labelled` and `chances` are of rows; a row has one feature, or several windows from `firsts` on.
    """

    lengths: np.ndarray
    labelled: np.ndarray
    chances: np.ndarray | None
    firsts: np.ndarray
    features: int
    batch_size: int
    micro_batches: int
    steps_per_epoch: int
    first_step: int
    first_epoch: float
    steps: int
    evaluations: frozenset[int]
    seed: int

    @property
    def last_step(self) -> int:
        """The number of its last step."""
        return self.first_step + self.steps

    @classmethod
    def make(
        cls,
        train: TokenInputs,
        options: TrainingOptions,
        processes: int,
        stage: Stage,
        last: Step,
        is_last: bool = True,
    ) -> Plan:
        """The plan of `stage` for the rows `train`, after the step `last`.

        With --max_train_steps the last stage takes all steps that are left, whatever its epochs.
        """
        batch_size = global_batch(options, processes)
        per_epoch = math.ceil(len(train.firsts) / batch_size)
        steps = math.ceil(stage.epochs * per_epoch)
        if options.max_train_steps and steps:
            left = options.max_train_steps - last.number
            steps = left if is_last else min(steps, left)
        every = options.eval_steps or per_epoch
        end = last.number + steps
        return cls(
            lengths=np.add.reduceat(train.lengths, train.firsts),
            labelled=np.add.reduceat(train.labelled, train.firsts),
            chances=train.balanced_chances if options.sampling == "balanced" else None,
            firsts=train.firsts,
            features=len(train.lengths),
            batch_size=batch_size,
            micro_batches=options.gradient_accumulation_steps,
            steps_per_epoch=per_epoch,
            first_step=last.number,
            first_epoch=last.epoch,
            steps=steps,
            evaluations=frozenset({*range(last.number + every, end + 1, every), end}),
            seed=options.seed,
        )

    def features_of(self, rows: Sequence[int]) -> list[int]:
        """The features of rows, those of one row together."""
        firsts, last = self.firsts, len(self.firsts) - 1
        ends = [firsts[row + 1] if row < last else self.features for row in rows]
        return [feature for row, end in zip(rows, ends, strict=True) for feature in range(firsts[row], end)]


def global_batch(options: TrainingOptions, processes: int = 1) -> int:
    """The rows of a step, of all processes together."""
    assert options.per_device_train_batch_size, "`with_defaults` gives it one"
    return options.per_device_train_batch_size * options.gradient_accumulation_steps * processes
