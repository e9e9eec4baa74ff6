"""Training of the same network from random weights, the baseline of every transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.strategies.strategy import Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from nlp_transfer.models.transfer_model import TransferModel


@register_strategy
@dataclass
class Scratch(Strategy):
    """A baseline: the encoder's architecture, its pretrained weights forgotten.

    >>> nt.fit(model, splits, strategy=nt.strategies.Scratch())
    """

    name: ClassVar[str] = "scratch"
    works_sharded: ClassVar[bool] = True
    is_baseline: ClassVar[bool] = True
    usual_epochs_factor: ClassVar[int] = 3  # a baseline that is stopped early makes any transfer look good

    def setup(self, model: TransferModel, seed: int) -> None:
        import torch  # takes a second, and --help loads this file

        # `fit` has set the seed.
        fresh = type(model.network)._from_config(model.network.config, dtype=torch.float32)
        model.network.load_state_dict(fresh.state_dict())
