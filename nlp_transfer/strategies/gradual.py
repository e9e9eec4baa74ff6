"""The top layers unfreeze one after another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import OptionError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.param_groups import ParamGroup, layer_groups
from nlp_transfer.strategies.strategy import Stage, Strategy

log = logging.getLogger(__name__)


@dataclass
class Gradual(Strategy):
    """Gradual unfreezing with discriminative rates (ULMFiT; Howard and Ruder 2018, sections 3.2 and 3.3).

    The first epoch trains the head, and each one after it as many layers more from the top as bring the whole encoder
    to train after `unfreeze_epochs` of them; the epochs of the run follow, in which everything trains. The layers that
    stay still have run once, so the epochs of unfreezing cost less than others. As in ULMFiT each step of the
    unfreezing is a stage with a schedule of its own.

    >>> nt.fit(model, splits, strategy=nt.strategies.Gradual())

    Args:
        unfreeze_epochs: epochs before everything trains, beside those of the run.
        head_learning_rate: the rate of the first epoch, in which the head trains alone.
        layer_lr_decay: each layer learns at this factor of the rate of the layer above it.

    Raises:
        OptionError: a value outside what is said above.
    """

    name: ClassVar[str] = "gradual"

    unfreeze_epochs: int = 3
    head_learning_rate: float = 5e-3
    layer_lr_decay: float = 0.9

    def __post_init__(self) -> None:
        if self.unfreeze_epochs < 1:
            raise OptionError(f"--unfreeze_epochs must be 1 or more; given was {self.unfreeze_epochs}.")
        if not self.head_learning_rate > 0:
            raise OptionError(f"--head_learning_rate must be more than 0; given was {self.head_learning_rate:g}.")
        if not 0 < self.layer_lr_decay <= 1:
            raise OptionError(f"--layer_lr_decay must lie in (0, 1]; given was {self.layer_lr_decay:g}.")

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        steps = min(self.unfreeze_epochs, encoder.depth)
        if encoder.shares_layers and steps > 1:
            log.info("%s shares one layer between all depths: after the head everything trains.", encoder.family)
            steps = 1
        still = [encoder.depth * left // steps for left in range(steps, 0, -1)]
        head, *more = (Stage(below, 1, learning_rate) for below in still)
        return [replace(head, learning_rate=self.head_learning_rate), *more, Stage(0, epochs, learning_rate)]

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        return layer_groups(self.trained(model), model.encoder, learning_rate, weight_decay, self.layer_lr_decay)
