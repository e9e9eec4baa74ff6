"""The module, the optimizer and the lr_scheduler that train a stage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import is_compiled_module
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from nlp_transfer.config import TrainingOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy
from nlp_transfer.strategies.param_groups import ParamGroup
from nlp_transfer.training import fsdp
from nlp_transfer.training.fast_dropout import with_fast_dropout
from nlp_transfer.training.optimizer import adamw, schedule


@dataclass(frozen=True)
class Trainer:
    """What takes the steps of a stage: the module that trains, as Accelerate has wrapped it, and its optimizer.

    With `shards` it is these that train, and the model's network is up to date only after `gather`.
    """

    strategy: Strategy
    model: TransferModel
    module: nn.Module
    optimizer: torch.optim.Optimizer
    lr_scheduler: LRScheduler
    accelerator: Accelerator
    max_grad_norm: float
    shards: fsdp.Shards | None = None

    def gather(self) -> None:
        """Copy the weights of the last step from the shards to the network. Every process calls it."""
        if self.shards:
            self.shards.gather()


@contextlib.contextmanager
def prepared_trainer(
    strategy: Strategy,
    model: TransferModel,
    groups: list[ParamGroup],
    steps: int,
    options: TrainingOptions,
    accelerator: Accelerator,
) -> Iterator[Trainer]:
    """The trainer of a stage of `steps` steps; afterwards the module is unwrapped again."""
    shards = fsdp.Shards.of(model.network, accelerator) if fsdp.is_requested() else None
    optimizer = adamw(shards.groups(groups) if shards else groups)
    lr_scheduler = schedule(options.lr_scheduler_type, optimizer, steps, options.warmup_ratio or 0.0)
    if shards:
        trained = module = shards.module
        optimizer = accelerator.prepare(optimizer)
    else:
        trained = strategy.trained(model)
        module, optimizer = accelerator.prepare(trained, optimizer)
    try:
        with _compile_errors_in_one_line() if is_compiled_module(module) else with_fast_dropout(trained):
            trainer = Trainer(
                strategy, model, module, optimizer, lr_scheduler, accelerator, options.max_grad_norm, shards
            )
            yield trainer
        trainer.gather()
    finally:
        accelerator.unwrap_model(module, keep_fp32_wrapper=False)
        # Accelerate prepares nothing twice, and would train the next stage without autocast.
        trained.__dict__.pop("_is_accelerate_prepared", None)
        accelerator.free_memory()


@contextlib.contextmanager
def _compile_errors_in_one_line() -> Iterator[None]:
    """Inside, what the compiler cannot do is an OptionError; dropout stays PyTorch's own, which the compiler fuses."""
    from torch._dynamo.exc import TorchDynamoException  # takes a second

    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        raise OptionError(f"--torch_compile cannot compile this network here ({reason}); leave it out.") from error
