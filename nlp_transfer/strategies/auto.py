"""A strategy that is still to be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.strategy import Strategy

if TYPE_CHECKING:
    from nlp_transfer.models.transfer_model import TransferModel


@dataclass
class Auto(Strategy):
    """What `--strategy auto` stands for until `choose_strategy` has looked at the rows; it trains nothing itself.

    Raises:
        OptionError: from `fit`, which takes what was chosen.
    """

    name: ClassVar[str] = "auto"

    def setup(self, model: TransferModel, seed: int) -> None:
        """Raise OptionError: nothing has been chosen yet."""
        raise OptionError(
            "the strategy auto is chosen before fit: choice = nt.choose_strategy(model, splits), then "
            "fit(model, splits, strategy=choice.strategy)."
        )
