"""All weights train, those of lower layers more slowly if that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.errors import OptionError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.param_groups import ParamGroup, layer_groups
from nlp_transfer.strategies.strategy import Stage, Strategy


@dataclass
class Full(Strategy):
    """Fine-tuning of every weight, with discriminative rates (Howard and Ruder 2018, section 3.2) on demand.

    >>> nt.fit(model, splits, strategy=nt.strategies.Full(layer_lr_decay=0.9))

    Args:
        layer_lr_decay: each layer learns at this factor of the rate of the layer above it; the head at the full rate,
            the embeddings as the layer under the lowest.
        trainable_embeddings: False keeps the word embeddings still, half of all weights in a small encoder.

    Raises:
        OptionError: a decay outside (0, 1].
    """

    name: ClassVar[str] = "full"

    layer_lr_decay: float = 1.0
    trainable_embeddings: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.layer_lr_decay <= 1:
            raise OptionError(f"--layer_lr_decay must lie in (0, 1]; given was {self.layer_lr_decay:g}.")

    def start(self, model: TransferModel, stage: Stage) -> None:
        super().start(model, stage)
        if not self.trainable_embeddings:
            model.network.get_input_embeddings().requires_grad_(False)

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        return layer_groups(self.trained(model), model.encoder, learning_rate, weight_decay, self.layer_lr_decay)
