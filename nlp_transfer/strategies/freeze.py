"""The head and the top layers train, the layers below stay as they were pretrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.strategy import Stage, Strategy


@dataclass
class Freeze(Strategy):
    """Feature transfer: with `trainable_layers` 0 a linear probe of what the encoder knows.

    A probe wants a head with `pooling="mean"`: native heads of the BERT line stand on a pooler that was pretrained
    for another end, or not at all (a probe of MiniLM on TREC: 43% through the pooler, 80% on the mean).

    >>> nt.fit(model, splits, strategy=nt.strategies.Freeze(trainable_layers=2))

    Args:
        trainable_layers: layers that train with the head, counted from the top; pooler and last norm train with them.

    Raises:
        OptionError: fewer than 0, or more than the encoder has.
    """

    name: ClassVar[str] = "freeze"
    default_learning_rate: ClassVar[float] = 5e-3  # of a head alone

    trainable_layers: int = 0

    def __post_init__(self) -> None:
        if self.trainable_layers < 0:
            raise OptionError(f"--trainable_layers must be 0 or more; given was {self.trainable_layers}.")
        if self.trainable_layers:
            self.default_learning_rate = 5e-5  # type: ignore[misc]

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
