"""Training of all weights on the target and a source at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import Range, option
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.strategy import Part, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nlp_transfer.models.transfer_model import TransferModel


@register_strategy
@dataclass
class Replay(Strategy):
    """Joint training: the loss of a step is L(target) + lambda * L(source), of as many rows of each.

    The source has a head of its own on the same encoder, which is left out of what is saved. Which of its rows are
    replayed depends on the seed and the step alone. A step costs as much as two.

    >>> nt.fit(model, splits, strategy=nt.strategies.Replay("reviews.csv", source_weight=0.5))

    Args:
        source_file: texts with labels or sentences with tags, in any form that a training file has; or a `.txt` of raw
            text, one a line, for the masked-language-model loss. Scores are cut into levels as the target's were.
        source_weight: lambda. At 1 a source's mean loss counts as much as the target's.
        source_text_column_name: its column with the text, or the words.
        source_label_column_name: its column with the label, or the tags.

    Raises:
        OptionError: no file, or a weight outside its range.
        DataError: a file that cannot be read, when the run starts.
    """

    name: ClassVar[str] = "replay"

    source_file: str | None = option(
        None, help="rows with labels of their own, in any form; or raw text, one a line, as .txt."
    )
    source_weight: float = option(
        1.0,
        help="factor on the loss of the source.",
        at_least=0,
        search=Range(0.1, 2.0, log=True),
        short=True,
    )
    source_text_column_name: str | None = option(None, help="column of the source with the text.")
    source_label_column_name: str | None = option(None, help="column of the source with the label.")

    def __post_init__(self) -> None:
        if not self.source_file:
            raise OptionError(
                "--strategy replay needs the rows that it replays: --source_file FILE, labelled or raw text."
            )
        super().__post_init__()

    def setup(self, model: TransferModel, seed: int) -> None:
        from nlp_transfer.strategies.replay_sources import TwoNetworks, source_of  # loads torch

        assert self.source_file
        columns = (self.source_text_column_name, self.source_label_column_name)
        self._seed = seed
        self._source = source_of(model, self.source_file, columns, seed)
        self._both = TwoNetworks(model.network, self._source.network)

    def trained(self, model: TransferModel) -> nn.Module:
        return self._both

    def loss(
        self, model: TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        source, source_labels, count = self._source.part(part, self._seed, labels.device)
        logits, source_logits = module(batch, source)
        target_loss = model.head.loss(logits, labels, max(part.count, 1))
        return target_loss + self.source_weight * self._source.loss(source_logits, source_labels, count)

    def finish(self, model: TransferModel) -> None:
        self._source.release()
        del self._source, self._both
