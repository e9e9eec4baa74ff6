"""All weights train, on the target and on a source at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from nlp_transfer.data.batch import shares, unlabelled
from nlp_transfer.data.source_rows import read_source
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import NERHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.replay_sources import LabelledSource, RawSource, Source
from nlp_transfer.strategies.strategy import Part, Strategy


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
        OptionError: no file, or a weight that is less than 0.
        DataError: a file that cannot be read, when the run starts.
    """

    name: ClassVar[str] = "replay"

    source_file: str | None = None
    source_weight: float = 1.0
    source_text_column_name: str | None = None
    source_label_column_name: str | None = None

    def __post_init__(self) -> None:
        if not self.source_file:
            raise OptionError(
                "--strategy replay needs the rows that it replays: --source_file FILE, labelled or raw text."
            )
        if not self.source_weight >= 0:
            raise OptionError(f"--source_weight must be 0 or more; given was {self.source_weight:g}.")

    def setup(self, model: TransferModel, seed: int) -> None:
        assert self.source_file
        columns = (self.source_text_column_name, self.source_label_column_name)
        rows, kind = read_source(self.source_file, *columns, beside_tags=isinstance(model.head, NERHead))
        self._seed = seed
        self._source: Source = RawSource(model, rows, seed) if kind == "text" else LabelledSource(model, rows, kind)
        self._both = _Both(model.network, self._source.network)

    def trained(self, model: TransferModel) -> nn.Module:
        return self._both

    def loss(
        self, model: TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        source = self._source
        drawn = source.draw(part.rows, self._seed, part.step)
        mine = shares(drawn, 1, part.of)[0][part.index]
        tensors = {k: v.to(labels.device) for k, v in source.batch(mine or drawn[:1], part.step).items()}
        source_labels = tensors.pop("labels")
        if not mine:  # as where a part of the target has no rows: the gradients of this one are all zeros
            source_labels = unlabelled(source_labels)
        logits, source_logits = module(batch, tensors)
        count = source.labelled(drawn, part.step)
        target_loss = model.head.loss(logits, labels, max(part.count, 1))
        return target_loss + self.source_weight * source.loss(source_logits, source_labels, count)

    def finish(self, model: TransferModel) -> None:
        self._source.release()
        del self._source, self._both


class _Both(nn.Module):
    """The target's network and the source's, in one forward pass: DistributedDataParallel counts one a step."""

    def __init__(self, target: nn.Module, source: nn.Module) -> None:
        super().__init__()
        self.target = target
        self.source = source

    def forward(self, target: dict[str, Tensor], source: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.target(**target).logits, self.source(**source).logits
