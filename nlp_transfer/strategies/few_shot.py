"""Learning from few rows and from what labels mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nlp_transfer.config.option_fields import option
from nlp_transfer.strategies.strategy import Part, Stage, Strategy
from nlp_transfer.strategies.strategy_registry import register_strategy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nlp_transfer.data.inputs import Inputs
    from nlp_transfer.encoders.encoder import Encoder
    from nlp_transfer.models.transfer_model import TransferModel


_FEWEST_SEEN, _EPOCHS = 640, 2
"""Rows that are seen in any run, some of them often, and the times that each is seen beside."""


@register_strategy
@dataclass
class FewShot(Strategy):
    """Few rows beside label texts: contrast tunes the encoder, then a head is fitted in closed form (1 to 50 a label).

    Texts and label texts of one label are moved together by supervised contrast (Khosla et al. 2020; Yehudai and Bendel
    2024, "When LLMs are unfit, use FastFit"), and the last layer is ridge regression on the vectors, with label texts
    as rows (`fit_label_head`). How much these count, the penalty and the temperature of the probabilities are chosen by
    leaving rows out. Word embeddings stay as they are. No validation rows are needed: those that nobody has given train
    too. Of several processes, or with accumulation, each part of a batch is contrasted in itself. For tags the fitted
    head is where fine-tuning begins.

    >>> nt.fit(model, splits, strategy=nt.strategies.FewShot(labels_file="labels.yaml"))

    Args:
        labels_file: a YAML file with one text or several for each label, or type of entity; else their names in words.
        tune_encoder: False leaves the encoder as it is, which takes seconds.

    Raises:
        OptionError: an option of the head that is trained by steps, a head for numbers, or a file that does not
            describe exactly the labels there are.
    """

    name: ClassVar[str] = "few_shot"
    default_learning_rate: ClassVar[float] = 2e-5
    chooses_epoch: ClassVar[bool] = False
    sums_over_rows: ClassVar[bool] = False

    labels_file: str | None = option(
        None, help="YAML file with texts that say what each label means.", default_text="the names in words"
    )
    tune_encoder: bool = option(True, help="false fits the head alone, to the encoder as it is.")

    def usual_epochs(self, fine_tuning: float, rows: int) -> float:
        return math.ceil(_FEWEST_SEEN / rows) + _EPOCHS

    def setup(self, model: TransferModel, seed: int) -> None:
        from nlp_transfer.strategies.label_contrast import LabelContrast  # loads torch

        self._contrast = LabelContrast(model, self.labels_file, seed)

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        fit, train = Stage(0, 0, learning_rate), Stage(0, epochs, learning_rate)
        if not self.tune_encoder:
            return [fit]
        return [fit, train] if self._contrast.labels_words else [train, fit]

    def start(self, model: TransferModel, stage: Stage) -> None:
        super().start(model, stage)
        self._fits = not stage.epochs
        model.network.get_input_embeddings().requires_grad_(False)  # few rows have few of the words

    def initialise(self, model: TransferModel, train: Inputs) -> None:
        if self._fits:
            self._contrast.fit_head(model, train)

    def trained(self, model: TransferModel) -> nn.Module:
        return self._contrast.trained

    def loss(
        self, model: TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        if self._contrast.labels_words:
            return super().loss(model, module, batch, labels, part)
        return self._contrast.loss(module, batch, labels, part, len(model.head.labels))
