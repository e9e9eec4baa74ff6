"""The optimizer and the lr_scheduler of a stage."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.param_groups import ParamGroup


def adamw(groups: list[ParamGroup]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), in one fused kernel: one pass over the weights a step."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=True)


def schedule(name: str, optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float) -> LRScheduler:
    """An lr_scheduler of transformers by its name, over `steps` steps. OptionError for an unknown name."""
    try:
        return get_scheduler(name, optimizer, num_warmup_steps=int(warmup_ratio * steps), num_training_steps=steps)
    except ValueError as error:
        raise OptionError(f"--lr_scheduler_type {name}: {error}; linear and cosine are usual.") from error
