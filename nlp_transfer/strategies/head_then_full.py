"""Training of the head, then of all weights from that head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nlp_transfer.config.option_fields import Range, option
from nlp_transfer.strategies.param_groups import head_learning_rate_option
from nlp_transfer.strategies.strategy import Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from nlp_transfer.encoders.encoder import Encoder


_MOST_HEAD_EPOCHS = 10  # unless given


@register_strategy
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
        head_learning_rate: its learning rate.
    """

    name: ClassVar[str] = "head_then_full"
    works_sharded: ClassVar[bool] = True

    head_epochs: int | None = option(
        None,
        help="epochs of the head alone.",
        default_text=f"as many as after it, {_MOST_HEAD_EPOCHS} at most",
        above=0,
        search=Range(1, 15, whole=True),
        short=True,
    )
    head_learning_rate: float = head_learning_rate_option()

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        head_epochs = self.values(epochs)["head_epochs"]
        return [Stage(encoder.depth, head_epochs, self.head_learning_rate), Stage(0, epochs, learning_rate)]

    def values(self, epochs: float) -> dict[str, Any]:
        return super().values(epochs) | {"head_epochs": self.head_epochs or min(epochs, _MOST_HEAD_EPOCHS)}
