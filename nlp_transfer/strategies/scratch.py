"""The same network from random weights: what is the transfer worth?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.strategy import Strategy


@dataclass
class Scratch(Strategy):
    """A baseline: the encoder's architecture, its pretrained weights forgotten.

    >>> nt.fit(model, splits, strategy=nt.strategies.Scratch())
    """

    name: ClassVar[str] = "scratch"

    def setup(self, model: TransferModel, seed: int) -> None:
        # `fit` has set the seed.
        fresh = type(model.network)._from_config(model.network.config, dtype=torch.float32)
        model.network.load_state_dict(fresh.state_dict())
