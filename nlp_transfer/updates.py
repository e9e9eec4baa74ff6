"""How are the weights updated, a global batch at a time?"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from nlp_transfer.data.batch import IGNORED, epoch_batches, shares
from nlp_transfer.data.inputs import Inputs, ahead, moved, pinned
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
    dealt = _dealt(rows, plan, trainer.accelerator)
    with contextlib.closing(dealt if rows.runs_network else ahead(dealt)) as batches:
        for batch, mine in batches:
            number += 1
            trainer.module.train()
            loss = _backward(trainer, batch, mine, plan, number)
            if trainer.max_grad_norm:
                trainer.accelerator.clip_grad_norm_(trainer.module.parameters(), trainer.max_grad_norm)
            rate = float(trainer.rates.get_last_lr()[0])
            trainer.optimizer.step()
            trainer.rates.step()
            trainer.optimizer.zero_grad()
            done = plan.first_epoch + (number - plan.first_step) / plan.steps_per_epoch
            yield Step(number, done, loss, rate, len(batch), stage_ends=number == last)


_Tensors = dict[str, Tensor]


def _dealt(rows: Inputs, plan: Plan, accelerator: Accelerator) -> Generator[tuple[list[int], list[_Tensors]]]:
    """Every global batch of a stage, and the micro-batches of this process's share of it."""
    epochs = itertools.count(round(plan.first_epoch))
    batches = itertools.chain.from_iterable(
        epoch_batches(plan.lengths, plan.batch_size, plan.seed, epoch) for epoch in epochs
    )
    for batch in itertools.islice(batches, plan.steps):
        mine = shares(batch, accelerator.num_processes, plan.micro_batches)[accelerator.process_index]
        yield batch, [pinned(_tensors(rows, places, batch), accelerator.device) for places in mine]


def _tensors(rows: Inputs, places: list[int], batch: Sequence[int]) -> _Tensors:
    if places:
        return rows.batch(places)
    # Nothing is left for this part, but other processes may wait for its gradients: they will be all zeros.
    one = rows.batch([batch[0]])
    return one | {"labels": torch.full_like(one["labels"], IGNORED)}


def _backward(trainer: Trainer, batch: Sequence[int], mine: Sequence[_Tensors], plan: Plan, step: int) -> Tensor:
    """Gradients of this process's share of a global batch; they are averaged over the processes at its end."""
    accelerator, model = trainer.accelerator, trainer.model
    count = int(plan.labelled[list(batch)].sum())
    parts = accelerator.num_processes * plan.micro_batches
    total = torch.zeros((), device=accelerator.device)
    for i, micro_batch in enumerate(mine):
        last = i == len(mine) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(trainer.module):
            tensors = moved(micro_batch, accelerator.device)
            labels = tensors.pop("labels")
            part = Part(step, accelerator.process_index * plan.micro_batches + i, parts, count, len(batch))
            loss = trainer.strategy.loss(model, trainer.module, tensors, labels, part)
            # Gradients are averaged over processes, and the loss is divided by the global count already.
            accelerator.backward(loss * accelerator.num_processes)
            total += loss.detach()
    return total
