"""Fine-tuning of all weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import option
from nlp_transfer.strategies.param_groups import ParamGroup, layer_groups, layer_lr_decay_option
from nlp_transfer.strategies.strategy import Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from nlp_transfer.models.transfer_model import TransferModel


@register_strategy
@dataclass
class Full(Strategy):
    """Fine-tuning of every weight, with discriminative learning rates (Howard and Ruder 2018, section 3.2) on demand.

    >>> nt.fit(model, splits, strategy=nt.strategies.Full(layer_lr_decay=0.9))

    Args:
        layer_lr_decay: each layer has this factor of the learning rate of the layer above it; the head has the full
            one, the embeddings that of a layer under the lowest.
        trainable_embeddings: False freezes the word embeddings, half of all weights in a small encoder.
    """

    name: ClassVar[str] = "full"
    works_sharded: ClassVar[bool] = True

    layer_lr_decay: float = layer_lr_decay_option(1.0, short=True)
    trainable_embeddings: bool = option(True, help="false freezes the word embeddings.")

    def start(self, model: TransferModel, stage: Stage) -> None:
        super().start(model, stage)
        if not self.trainable_embeddings:
            model.network.get_input_embeddings().requires_grad_(False)

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        return layer_groups(self.trained(model), model.encoder, learning_rate, weight_decay, self.layer_lr_decay)
