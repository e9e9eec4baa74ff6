"""The steps of a stage: one update of the weights for each global batch."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from nlp_transfer.data.batch import epoch_batches, shares, unlabelled
from nlp_transfer.data.inputs import Inputs, ahead, moved, pinned
from nlp_transfer.errors import UserError
from nlp_transfer.strategies.strategy import Part
from nlp_transfer.training.fsdp import full_tensor
from nlp_transfer.training.plan import Plan
from nlp_transfer.training.progress import Step
from nlp_transfer.training.trainer import Trainer

log = logging.getLogger(__name__)


def steps(trainer: Trainer, rows: Inputs, plan: Plan, done: int = 0) -> Generator[Step, None, None]:
    """Update the weights once for each global batch of `rows`, and yield each step.

    The first `done` batches are skipped: a run that resumes has learned from them. Where a gradient is not finite the
    weights and the optimizer's moments stay as they are, and the lr_scheduler steps. Where a process runs out of
    memory, all of them repeat the batch in twice as many micro-batches, and keep to that: the loss of a step is a sum
    over its parts. Raises UserError where that is impossible: micro-batches of one row already, or other processes that
    wait for this one within the step, as in shards, and with a batch no larger than one that has fitted.
    """
    fitted = _Fitted()
    while True:
        is_agreed = trainer.accelerator.num_processes == 1
        try:
            for step in _steps(trainer, rows, plan, done, fitted):
                done += 1
                yield step
            return
        except _NoRoomError:
            is_agreed = True
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        # Outside of the except clause, where the error and the tensors of the failed step are gone.
        trainer.optimizer.zero_grad()
        clear_device_cache(garbage_collection=True)
        plan = _with_smaller_micro_batches(plan, plan.first_step + done + 1, trainer.accelerator, is_agreed)


class _NoRoomError(RuntimeError):
    """A process is out of memory, and all processes know."""


def _with_smaller_micro_batches(plan: Plan, step: int, accelerator: Accelerator, is_agreed: bool) -> Plan:
    """The plan with micro-batches of half the size. UserError where that is impossible, or other processes wait."""
    per_step = math.ceil(plan.batch_size / accelerator.num_processes)
    rows, parts = math.ceil(per_step / plan.micro_batches), 2 * plan.micro_batches
    smaller = f"--per_device_train_batch_size {math.ceil(per_step / parts)} --gradient_accumulation_steps {parts}"
    if rows == 1:
        raise UserError(
            f"out of memory at step {step}, with one row at a time; give a smaller --max_length or encoder, or train "
            f"fewer weights (--strategy freeze, lora)."
        )
    if not is_agreed:
        raise UserError(
            f"process {accelerator.process_index} is out of memory at step {step}, with {rows} rows at a time; give "
            f"{smaller}, which learns the same."
        )
    log.info("Out of memory at step %d with %d rows at a time: continuing with %s.", step, rows, smaller)
    return replace(plan, micro_batches=parts)


class _Fitted:
    """The largest part of a batch that has fitted into memory so far, on every process."""

    def __init__(self) -> None:
        self._most = np.zeros(2)

    def has(self, size: np.ndarray) -> bool:
        """Whether one as large, `(tokens, tokens * longest)`, has fitted: the sizes of hidden states and attention."""
        return bool((size <= self._most).all())

    def add(self, size: np.ndarray) -> None:
        self._most = np.maximum(size, self._most)


def _size(batch: Sequence[int], plan: Plan, processes: int) -> np.ndarray:
    """The size of the largest part of a global batch, `(tokens, tokens * longest)`; the same on every process."""
    parts = np.array_split(plan.lengths[list(batch)], processes * plan.micro_batches)  # as `shares` does
    return np.max([[part.max() * len(part), part.max() ** 2 * len(part)] for part in parts if len(part)], axis=0)


def _steps(trainer: Trainer, rows: Inputs, plan: Plan, done: int, fitted: _Fitted) -> Generator[Step, None, None]:
    number, last = plan.first_step + done, plan.last_step
    global_batches = _global_batches(rows, plan, trainer.accelerator, done)
    with contextlib.closing(global_batches if rows.runs_network else ahead(global_batches)) as batches:
        for batch, mine in batches:
            number += 1
            trainer.module.train()
            with _random_states_kept_on_error(trainer.accelerator.device):
                loss = _gradients(trainer, batch, mine, plan, number, fitted)
            learning_rate = float(trainer.lr_scheduler.get_last_lr()[0])
            is_finite = _update(trainer)
            trainer.lr_scheduler.step()
            trainer.optimizer.zero_grad()
            epochs = plan.first_epoch + (number - plan.first_step) / plan.steps_per_epoch
            yield Step(
                number, epochs, loss, learning_rate, len(batch), stage_ends=number == last, is_finite=is_finite,
                micro_batches=plan.micro_batches,
            )  # fmt: skip


@contextlib.contextmanager
def _random_states_kept_on_error(device: torch.device) -> Iterator[None]:
    """After an error inside, dropout draws the same random numbers again."""
    before = torch.get_rng_state()
    of_device = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state()
    try:
        yield
    except RuntimeError:
        torch.set_rng_state(before)
        if of_device is not None:
            torch.get_device_module(device).set_rng_state(of_device)
        raise


def _update(trainer: Trainer) -> Tensor:
    """Take a step unless the gradient is not finite, and return whether it is, `()`.

    Nothing waits for the device: it is the fused optimizer that skips the update.
    """
    accelerator, scaler = trainer.accelerator, trainer.accelerator.scaler
    norm = full_tensor(accelerator.clip_grad_norm_(trainer.module.parameters(), trainer.max_grad_norm or math.inf))
    is_finite = torch.isfinite(norm)
    if scaler:  # it checks itself, and finds its scale by overflows: only at a scale of 1 do they mean anything
        is_finite = is_finite | (scaler.get_scale() > 1)
    else:
        inner = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        inner.found_inf = (~is_finite).float()  # type: ignore[union-attr]
    trainer.optimizer.step()
    return is_finite


_Tensors = dict[str, Tensor]


def _global_batches(
    rows: Inputs, plan: Plan, accelerator: Accelerator, done: int
) -> Generator[tuple[list[int], list[_Tensors]], None, None]:
    """Every global batch of a stage after the first `done`, and the micro-batches of this process's share of it."""
    epochs_done, skipped = divmod(done, plan.steps_per_epoch)
    epochs = itertools.count(round(plan.first_epoch) + epochs_done)
    batches = itertools.chain.from_iterable(
        epoch_batches(plan.lengths, plan.batch_size, plan.seed, epoch, plan.chances) for epoch in epochs
    )
    for batch in itertools.islice(batches, skipped, skipped + plan.steps - done):
        mine = shares(batch, accelerator.num_processes, plan.micro_batches)[accelerator.process_index]
        yield batch, [pinned(_tensors(rows, plan, places, batch), accelerator.device) for places in mine]


def _tensors(rows: Inputs, plan: Plan, places: list[int], batch: Sequence[int]) -> _Tensors:
    if places:
        return rows.batch(plan.features_of(places))
    # No row is left for this part, but other processes may wait for its gradients: they will be all zeros.
    one = rows.batch(plan.features_of([batch[0]]))
    return one | {"labels": unlabelled(one["labels"])}


def _gradients(
    trainer: Trainer, batch: Sequence[int], mine: Sequence[_Tensors], plan: Plan, step: int, fitted: _Fitted
) -> Tensor:
    """Compute the gradients of a global batch, averaged over processes; returns the part of the loss of this one.

    DistributedDataParallel averages them while the backward pass runs, and a process that ran out of memory in it would
    leave the others waiting for good. So with a batch larger than all before it, each process computes alone, and all
    check that none ran out of memory before they average; `_NoRoomError` is raised on all where one did.
    """
    processes = trainer.accelerator.num_processes
    if not isinstance(trainer.module, DistributedDataParallel):
        return _backward(trainer, batch, mine, plan, step)
    size = _size(batch, plan, processes)
    if fitted.has(size):
        return _backward(trainer, batch, mine, plan, step)
    loss = None
    try:
        loss = _backward(replace(trainer, module=trainer.module.module), batch, mine, plan, step)
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
    failed = torch.tensor(int(loss is None), device=trainer.accelerator.device)
    torch.distributed.all_reduce(failed)
    if loss is None or failed:
        raise _NoRoomError
    for parameter in trainer.module.parameters():
        if parameter.grad is not None:
            torch.distributed.all_reduce(
                parameter.grad.mul_(1 / processes)
            )  # divided first, as DistributedDataParallel does
    if trainer.optimizer.state:  # from the first update on, the optimizer's moments take room too
        fitted.add(size)
    return loss


def _backward(trainer: Trainer, batch: Sequence[int], mine: Sequence[_Tensors], plan: Plan, step: int) -> Tensor:
    """Compute the gradients of this process's share of a global batch, averaged over processes with its last part."""
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
            # Gradients are averaged over processes, and the loss is divided by the global count already. A loss that
            # is not finite gives no gradient that is, so that every process skips the step.
            is_finite = torch.isfinite(loss.detach())
            accelerator.backward(loss * torch.where(is_finite, accelerator.num_processes, math.nan))
            total += loss.detach()
    return total
