"""How does knowledge move from the encoder to the task?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from nlp_transfer.data.inputs import Inputs
from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.param_groups import ParamGroup, decay_groups

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A part of a run: its first `frozen_layers` are frozen, and it lasts `epochs` at a peak of `learning_rate`.

    Each stage has an optimizer and an lr_scheduler of its own. Activations of frozen layers are computed once.
    """

    frozen_layers: int
    epochs: float
    learning_rate: float


@dataclass(frozen=True)
class Part:
    """One share of a step: the `index`-th of `of` (processes times micro-batches).

    The step has `rows` rows and `count` labels in all its parts.
    """

    step: int
    index: int
    of: int
    count: int
    rows: int


@dataclass
class Strategy:
    """What trains, from which weights, in which order, towards what; a subclass overrides one or two methods.

    Its dataclass fields are its options, named as the flags of a recipe. The training loop calls the methods in the
    order in which they stand here, and never asks which strategy it holds.
    """

    name: ClassVar[str]
    default_learning_rate: ClassVar[float] = 5e-5

    def setup(self, model: TransferModel, seed: int) -> None:
        """Change the network before anything is computed; by default it stays what it is."""

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        """What is trained after what; by default everything, in one stage."""
        return [Stage(0, epochs, learning_rate)]

    def start(self, model: TransferModel, stage: Stage) -> None:
        """Say which weights train in a stage; by default those of the head and of the layers above the frozen ones."""
        model.encoder.freeze(stage.frozen_layers)
        if not stage.epochs:
            return
        still = {name for name, p in model.encoder.network.named_parameters() if not p.requires_grad}
        if lost := sorted(still & model.new_parameters):
            log.info(
                "%s: new in this network, and random as long as it stays still (--pooling mean needs none).", lost[0]
            )

    def initialise(self, model: TransferModel, train: Inputs) -> None:
        """Give the weights of a stage a start that is made from the training rows; by default they keep theirs."""

    @property
    def is_probe(self) -> bool:
        """Whether it trains one linear layer on the frozen encoder, which suits other options of the head."""
        return False

    def trained(self, model: TransferModel) -> nn.Module:
        """The module whose weights train; by default the network."""
        return model.network

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        """The trained weights by rate and decay; by default one rate, and no decay of biases and norms."""
        return decay_groups(self.trained(model).parameters(), learning_rate, weight_decay)

    def loss(
        self, model: TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        """The loss of a part of a step, so that the sum over its parts is the step's loss.

        `module` is what `trained` gave, as Accelerate has wrapped it.
        """
        return model.head.loss(module(**batch).logits, labels, max(part.count, 1))

    def finish(self, model: TransferModel) -> None:
        """Give back what was borrowed; after it the network is as it is to be saved. It holds the best weights."""
