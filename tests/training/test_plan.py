"""The plan of a stage: its steps and its evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import Stage
from nlp_transfer.training.plan import Plan
from nlp_transfer.training.progress import Step

START = Step(0, 0.0, torch.tensor(0.0), 0.0, 0)


def plan(
    checkpoint: Callable[..., str], splits: Splits, options: nt.TrainingOptions, epochs: float, **more: Any
) -> Plan:
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(splits))
    train = TokenInputs(model.encode(splits.train.data), 0)
    last = Step(6, 1.5, torch.tensor(0.0), 0.1, 8) if more.pop("is_later", False) else START
    return Plan.make(train, options, more.pop("processes", 1), Stage(0, epochs, 1e-3), last, **more)


def test_a_plan_evaluates_every_epoch_and_at_the_end(checkpoint, review_splits, options):
    two = plan(checkpoint, review_splits, options, 2.5, processes=2)
    assert (two.batch_size, two.steps_per_epoch, two.steps) == (16, 4, 10)
    assert two.evaluations == {4, 8, 10}
    assert plan(checkpoint, review_splits, replace(options, eval_steps=3, max_train_steps=7), 2).evaluations == {
        3,
        6,
        7,
    }


def test_a_stage_follows_the_last_step_of_the_one_before(checkpoint, review_splits, options):
    later = plan(checkpoint, review_splits, options, 2, is_later=True)
    assert (later.first_step, later.first_epoch, later.steps) == (6, 1.5, 16)
    assert later.evaluations == {14, 22}
    for max_train_steps, is_last, steps_left in ((11, False, 5), (56, False, 16), (56, True, 50)):
        limited = replace(options, max_train_steps=max_train_steps)
        later = plan(checkpoint, review_splits, limited, 2, is_later=True, is_last=is_last)
        assert later.steps == steps_left
