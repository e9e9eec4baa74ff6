"""Training of the head and the top layers, with the layers below frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import Range, option
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.strategy import Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from nlp_transfer.encoders.encoder import Encoder


@register_strategy
@dataclass
class Freeze(Strategy):
    """Feature transfer: with `trainable_layers` 0 a linear probe of what the encoder knows.

    A pooler that the checkpoint does not have trains with the head. One that it has was pretrained for another end, so
    that a probe of an encoder like BERT wants `pooling="mean"`.

    >>> nt.fit(model, splits, strategy=nt.strategies.Freeze(trainable_layers=2))

    Raises:
        OptionError: from `stages`, for more layers than the encoder has.
    """

    name: ClassVar[str] = "freeze"
    trains_all_weights: ClassVar[bool] = False
    default_learning_rate: ClassVar[float] = 5e-3  # of a head alone
    rate_follows_encoder: ClassVar[bool] = False
    usual_epochs_factor: ClassVar[int] = 5  # which cost next to nothing after the one pass of the encoder
    works_sharded: ClassVar[bool] = True

    trainable_layers: int = option(
        0,
        help="layers that train with the head, from the top, with pooler and last norm; 0: a linear probe.",
        at_least=0,
        search=lambda depth: Range(1, depth, whole=True),
        short=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trainable_layers:
            self.default_learning_rate = 5e-5  # type: ignore[misc]
            self.rate_follows_encoder = True  # type: ignore[misc]
            self.usual_epochs_factor = 1  # type: ignore[misc]

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        if self.trainable_layers > encoder.depth:
            raise OptionError(
                f"--trainable_layers {self.trainable_layers} is more than the {encoder.depth} layers that this "
                f"{encoder.family} encoder has."
            )
        return [Stage(encoder.depth - self.trainable_layers, epochs, learning_rate)]

    @property
    def is_probe(self) -> bool:
        return not self.trainable_layers
