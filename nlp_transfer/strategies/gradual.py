"""The top layers unfreeze one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.encoder import Encoder
from nlp_transfer.errors import OptionError
from nlp_transfer.model import TransferModel
from nlp_transfer.optim import ParamGroup, layer_groups
from nlp_transfer.strategies.base import Stage, Strategy


@dataclass
class Gradual(Strategy):
    """Gradual unfreezing with discriminative rates (ULMFiT; Howard and Ruder 2018, sections 3.2 and 3.3).

    The first epoch trains the head, and each epoch after it as many layers more as bring the whole encoder to train
    in epoch `unfreeze_epochs`; what is left of the epochs trains everything. As in ULMFiT each step of the unfreezing
    is a stage with a schedule of its own.

    >>> nt.fit(model, splits, strategy=nt.strategies.Gradual())

    Args:
        unfreeze_epochs: the epoch in which all layers train; None: the last one, or that of the encoder's depth.
        layer_lr_decay: each layer learns at this factor of the rate of the layer above it.

    Raises:
        OptionError: a value outside what is said above.
    """

    name: ClassVar[str] = "gradual"

    unfreeze_epochs: int | None = None
    layer_lr_decay: float = 0.9

    def __post_init__(self) -> None:
        if self.unfreeze_epochs is not None and self.unfreeze_epochs < 1:
            raise OptionError(f"--unfreeze_epochs must be 1 or more; given was {self.unfreeze_epochs}.")
        if not 0 < self.layer_lr_decay <= 1:
            raise OptionError(f"--layer_lr_decay must lie in (0, 1]; given was {self.layer_lr_decay:g}.")

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        steps = self.unfreeze_epochs or max(1, min(int(epochs), encoder.depth + 1))
        if self.unfreeze_epochs and steps > epochs:
            raise OptionError(f"--unfreeze_epochs {steps} is more than the {epochs:g} epochs of the run.")
        still = [encoder.depth * left // max(1, steps - 1) for left in reversed(range(steps))]
        if encoder.shares_layers:  # which go from the head to everything at once
            still = [encoder.depth if below else 0 for below in still]
        stages = [Stage(below, 1, learning_rate) for below in still[:-1]]
        return [*stages, Stage(still[-1], epochs - len(stages), learning_rate)]

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        return layer_groups(self.trained(model), model.encoder, learning_rate, weight_decay, self.layer_lr_decay)
