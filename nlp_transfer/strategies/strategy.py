"""What a strategy is: what trains, in which stages, towards what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nlp_transfer.config.option_fields import Choice, Range, check_values, option_of
from nlp_transfer.strategies.param_groups import ParamGroup, decay_groups

if TYPE_CHECKING:  # a strategy loads no torch before it is used
    from torch import Tensor, nn

    from nlp_transfer.data.inputs import Inputs
    from nlp_transfer.data.splits import Splits
    from nlp_transfer.encoders.encoder import Encoder
    from nlp_transfer.models.transfer_model import TransferModel


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

    Its dataclass fields are its options, each declared by `nt.option`: flags, YAML keys, ranges, and what `compare` and
    `tune` may vary come from there. `nt.register_strategy` makes it known by its name. The training loop calls the
    methods from `setup` on in the order in which they stand here, and never asks which strategy it holds.

    Raises:
        OptionError: an option outside of the range that its field declares.
    """

    name: ClassVar[str]
    default_learning_rate: ClassVar[float] = 5e-5
    rate_follows_encoder: ClassVar[bool] = True  # then that rate is for 12 layers of 768, and smaller encoders get more
    usual_epochs_factor: ClassVar[int] = 1  # times the epochs in which fine-tuning learns the same rows
    trains_by_steps: ClassVar[bool] = True  # else options of training, such as the learning rate, mean nothing to it
    trains_all_weights: ClassVar[bool] = True  # else a run needs less memory for gradients and optimizer states
    works_sharded: ClassVar[bool] = False  # under FSDP, which allows no look at weights outside of what `trained` gives
    chooses_epoch: ClassVar[bool] = (
        True  # by validation rows; else the last weights are kept, and none need be held out
    )
    sums_over_rows: ClassVar[bool] = True  # its loss; else what is learned depends on processes and accumulation
    is_baseline: ClassVar[bool] = False  # `compare` always includes it

    def __post_init__(self) -> None:
        check_values(self)

    @classmethod
    def search_space(cls, options: Mapping[str, Any], depth: int) -> dict[str, Range | Choice]:
        """What `tune` may try beside the given `options`, for an encoder of `depth` layers."""
        declared = {field.name: option_of(field).search for field in dataclasses.fields(cls)}
        return {
            name: search(depth) if callable(search) else search
            for name, search in declared.items()
            if search is not None and name not in options
        }

    @classmethod
    def tried_by_auto(cls, rows: int, labels: int) -> bool:
        """Whether `auto` tries it on so many training rows, of so many labels, beside its usual candidates."""
        return False

    def usual_epochs(self, fine_tuning: float, rows: int) -> float:
        """The epochs that it takes for so many rows, which `fine_tuning` would learn in so many."""
        return fine_tuning * self.usual_epochs_factor

    def values(self, epochs: float) -> dict[str, Any]:
        """Its options in a run of so many epochs, which some of them follow unless given."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def setup(self, model: TransferModel, seed: int) -> None:
        """Change the network before anything is computed; by default it stays what it is."""

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        """What is trained after what; by default everything, in one stage."""
        return [Stage(0, epochs, learning_rate)]

    def start(self, model: TransferModel, stage: Stage) -> None:
        """Choose which weights train in a stage; by default those of the head and of layers above the frozen ones.

        A pooler that the checkpoint did not have belongs to the head: `Encoder.freeze` leaves it to train.
        """
        model.encoder.freeze(stage.frozen_layers)

    def initialise(self, model: TransferModel, train: Inputs) -> None:
        """Give the weights of a stage a start that is made from the training rows; by default they keep theirs."""

    def splits(self, splits: Splits) -> Splits:
        """The splits to train on: those given, unless it needs no validation rows and these were held out of training.

        They train too then, where there are test rows to score the run.
        """
        return splits if self.chooses_epoch or splits.test is None else splits.taken_back()

    @property
    def is_probe(self) -> bool:
        """Whether it trains one linear layer on the frozen encoder, which suits other options of the head."""
        return False

    def trained(self, model: TransferModel) -> nn.Module:
        """The module whose weights train; by default the network."""
        return model.network

    def groups(self, model: TransferModel, learning_rate: float, weight_decay: float) -> list[ParamGroup]:
        """The trained weights by learning rate and decay; by default one rate, and no decay of biases and norms."""
        return decay_groups(self.trained(model).parameters(), learning_rate, weight_decay)

    def loss(
        self, model: TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        """The loss of a part of a step, so that the sum over its parts is the step's loss.

        `module` is what `trained` gave, as Accelerate has wrapped it.
        """
        return model.head.loss(module(**batch).logits, labels, max(part.count, 1))

    def finish(self, model: TransferModel) -> None:
        """Undo what only training needs; after it the network is as it is to be saved. It holds the best weights."""
