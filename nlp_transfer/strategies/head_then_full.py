"""The head first, then all weights from that head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.encoder import Encoder
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.base import Stage, Strategy


@dataclass
class HeadThenFull(Strategy):
    """Linear probing, then fine-tuning (LP-FT; Kumar et al. 2022, "Fine-tuning can distort pretrained features").

    A head that fits the features already sends no large, random gradients into the encoder. Its stage sees frozen
    features alone, so it costs next to nothing.

    >>> nt.fit(model, splits, strategy=nt.strategies.HeadThenFull())

    Args:
        head_epochs: epochs of the head's stage, beside those of the run.
        head_learning_rate: its rate.

    Raises:
        OptionError: an option that is not more than 0.
    """

    name: ClassVar[str] = "head_then_full"

    head_epochs: int = 10
    head_learning_rate: float = 5e-3

    def __post_init__(self) -> None:
        for option in ("head_epochs", "head_learning_rate"):
            if not getattr(self, option) > 0:
                raise OptionError(f"--{option} must be more than 0; given was {getattr(self, option)}.")

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        return [Stage(encoder.depth, self.head_epochs, self.head_learning_rate), Stage(0, epochs, learning_rate)]
