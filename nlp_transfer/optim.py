"""Which weights learn at which rate, and how does the rate change?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from nlp_transfer.errors import OptionError

ParamGroup = dict[str, Any]


def decay_groups(parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> list[ParamGroup]:
    """Two groups of the trainable weights: matrices decay, vectors (biases, norms) do not (Devlin et al. 2019)."""
    trainable = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "lr": learning_rate, "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "lr": learning_rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(groups: list[ParamGroup]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), in one fused kernel: one pass over the weights a step."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=True)


def schedule(name: str, optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float) -> LRScheduler:
    """A schedule of transformers by its name, over `steps` steps. OptionError for an unknown name."""
    try:
        return get_scheduler(name, optimizer, num_warmup_steps=int(warmup_ratio * steps), num_training_steps=steps)
    except ValueError as error:
        raise OptionError(f"--lr_scheduler_type {name}: {error}; linear and cosine are usual.") from error
