"""Parameter groups: which weights train at which learning rate and decay, and the options that say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nlp_transfer.config.option_fields import Range, option

if TYPE_CHECKING:
    from torch import nn

    from nlp_transfer.encoders.encoder import Encoder

ParamGroup = dict[str, Any]


def layer_lr_decay_option(default: float, short: bool = False) -> Any:
    """The option of strategies that train lower layers more slowly."""
    return option(
        default,
        help="factor on the learning rate for each layer down.",
        above=0,
        at_most=1,
        search=Range(0.8, 1.0),
        short=short,
    )


def head_learning_rate_option() -> Any:
    """The option of strategies that train the head alone before other layers."""
    return option(5e-3, help="learning rate of the head alone.", above=0)


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
