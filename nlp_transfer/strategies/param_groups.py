"""Which weights learn at which rate, and how does the rate change?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from nlp_transfer.encoders.encoder import Encoder
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


def layer_groups(
    module: nn.Module, encoder: Encoder, learning_rate: float, weight_decay: float, layer_lr_decay: float
) -> list[ParamGroup]:
    """Groups with a rate for each layer: that of the one above times `layer_lr_decay` (Howard and Ruder 2018, 3.2).

    The head learns at `learning_rate`, and so do the top layer and what follows it; the embeddings are one step under
    the lowest layer. Families that share one layer between all depths have one step from it to the embeddings.
    """
    if layer_lr_decay == 1:
        return decay_groups(module.parameters(), learning_rate, weight_decay)
    depth = len(encoder.layers)
    steps_down = {id(p): depth for p in encoder.base.parameters()}
    for place in reversed(range(depth)):
        steps_down |= {id(p): depth - 1 - place for p in encoder.layers[place].parameters()}
    steps_down |= {id(p): 0 for module in encoder.ends for p in module.parameters()}
    by_rate: dict[int, list[nn.Parameter]] = {}
    for parameter in module.parameters():
        by_rate.setdefault(steps_down.get(id(parameter), 0), []).append(parameter)
    return [
        group
        for steps, parameters in sorted(by_rate.items())
        for group in decay_groups(parameters, learning_rate * layer_lr_decay**steps, weight_decay)
    ]


def adamw(groups: list[ParamGroup]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), in one fused kernel: one pass over the weights a step."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=True)


def schedule(name: str, optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float) -> LRScheduler:
    """A schedule of transformers by its name, over `steps` steps. OptionError for an unknown name."""
    try:
        return get_scheduler(name, optimizer, num_warmup_steps=int(warmup_ratio * steps), num_training_steps=steps)
    except ValueError as error:
        raise OptionError(f"--lr_scheduler_type {name}: {error}; linear and cosine are usual.") from error
