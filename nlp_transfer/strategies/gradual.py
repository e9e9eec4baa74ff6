"""Gradual unfreezing of layers, from the top down."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import Range, option
from nlp_transfer.strategies.param_groups import (
    ParamGroup,
    head_learning_rate_option,
    layer_groups,
    layer_lr_decay_option,
)
from nlp_transfer.strategies.strategy import Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from nlp_transfer.encoders.encoder import Encoder
    from nlp_transfer.models.transfer_model import TransferModel

log = logging.getLogger(__name__)


@register_strategy
@dataclass
class Gradual(Strategy):
    """Gradual unfreezing with discriminative learning rates (ULMFiT; Howard and Ruder 2018, sections 3.2 and 3.3).

    The first epoch trains the head, and each one after it as many layers more from the top as bring the whole encoder
    to train after `unfreeze_epochs` of them; the epochs of the run follow, in which everything trains. Activations of
    frozen layers are computed once, so the epochs of unfreezing cost less than others. As in ULMFiT each step of the
    unfreezing is a stage with an lr_scheduler of its own.

    >>> nt.fit(model, splits, strategy=nt.strategies.Gradual())

    Args:
        unfreeze_epochs: epochs before everything trains, beside those of the run.
        head_learning_rate: that of the first epoch, in which the head trains alone.
        layer_lr_decay: each layer has this factor of the learning rate of the layer above it.
    """

    name: ClassVar[str] = "gradual"
    works_sharded: ClassVar[bool] = True

    unfreeze_epochs: int = option(
        3,
        help="epochs before everything trains, beside those of the run.",
        at_least=1,
        search=Range(1, 4, whole=True),
        short=True,
    )
    head_learning_rate: float = head_learning_rate_option()
    layer_lr_decay: float = layer_lr_decay_option(0.9)

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        steps = min(self.unfreeze_epochs, encoder.depth)
        if encoder.shares_layers and steps > 1:
            log.info("%s shares one layer between all depths: after the head everything trains.", encoder.family)
            steps = 1
        frozen = [encoder.depth * left // steps for left in range(steps, 0, -1)]
        head, *more = (Stage(below, 1, learning_rate) for below in frozen)
        return [replace(head, learning_rate=self.head_learning_rate), *more, Stage(0, epochs, learning_rate)]

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        return layer_groups(self.trained(model), model.encoder, learning_rate, weight_decay, self.layer_lr_decay)
