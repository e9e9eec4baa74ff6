"""How are the weights updated, a global batch at a time?"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from nlp_transfer.data.batch import IGNORED, epoch_batches, shares
from nlp_transfer.data.inputs import Inputs
from nlp_transfer.model import TransferModel
from nlp_transfer.plan import Plan
from nlp_transfer.progress import Step
from nlp_transfer.strategies import Strategy
from nlp_transfer.strategies.base import Part


@dataclass(frozen=True)
class Trainer:
    """What makes a step: the module that trains, as Accelerate has wrapped it, its optimizer and its schedule."""

    strategy: Strategy
    model: TransferModel
    module: nn.Module
    optimizer: torch.optim.Optimizer
    rates: LRScheduler
    accelerator: Accelerator
    max_grad_norm: float


def steps(trainer: Trainer, rows: Inputs, plan: Plan) -> Iterator[Step]:
    """Update the weights once for each global batch of `rows`, and yield what was done."""
    number, last = plan.first_step, plan.first_step + plan.steps
    first = round(plan.first_epoch)
    for epoch in range(first, first + math.ceil(plan.steps / plan.steps_per_epoch)):
        for batch in epoch_batches(plan.lengths, plan.batch_size, plan.seed, epoch):
            number += 1
            trainer.module.train()
            loss = _backward(trainer, rows, batch, plan, number)
            if trainer.max_grad_norm:
                trainer.accelerator.clip_grad_norm_(trainer.module.parameters(), trainer.max_grad_norm)
            rate = float(trainer.rates.get_last_lr()[0])
            trainer.optimizer.step()
            trainer.rates.step()
            trainer.optimizer.zero_grad()
            done = plan.first_epoch + (number - plan.first_step) / plan.steps_per_epoch
            yield Step(number, done, loss, rate, len(batch), stage_ends=number == last)
            if number == last:
                return


def _backward(trainer: Trainer, rows: Inputs, batch: Sequence[int], plan: Plan, step: int) -> Tensor:
    """Gradients of this process's share of a global batch; they are averaged over the processes at its end."""
    accelerator, model = trainer.accelerator, trainer.model
    count = int(plan.labelled[list(batch)].sum())
    parts = accelerator.num_processes * plan.micro_batches
    mine = shares(batch, accelerator.num_processes, plan.micro_batches)[accelerator.process_index]
    total = torch.zeros((), device=accelerator.device)
    for i, places in enumerate(mine):
        last = i == len(mine) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(trainer.module):
            tensors = {k: v.to(accelerator.device) for k, v in rows.batch(places or [batch[0]]).items()}
            labels = tensors.pop("labels")
            if not places:  # nothing left for this part, but other processes may wait for its gradients: all zeros
                labels = torch.full_like(labels, IGNORED)
            part = Part(step, accelerator.process_index * plan.micro_batches + i, parts, count, len(batch))
            loss = trainer.strategy.loss(model, trainer.module, tensors, labels, part)
            # Gradients are averaged over processes, and the loss is divided by the global count already.
            accelerator.backward(loss * accelerator.num_processes)
            total += loss.detach()
    return total
