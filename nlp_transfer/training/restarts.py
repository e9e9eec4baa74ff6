"""With which seed does a run begin, and begin again where it has collapsed?"""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from accelerate.utils import set_seed

from nlp_transfer.config import TrainingOptions
from nlp_transfer.heads.reuse import kept_head
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.training.checkpointing.checkpoint_files import Saved


class Collapsed(Exception):  # noqa: N818 (no error: another attempt follows)
    """An attempt ends here, for its network has collapsed."""


@dataclass
class Attempt:
    """One of the attempts of a run; `options` have its seed, and `saved` is where it goes on, if it does not begin.

    `number` counts from 0, and `before` is how many steps the attempts before it took.
    """

    options: TrainingOptions
    number: int
    before: int
    is_last: bool
    saved: Saved | None
    steps: int = 0

    @property
    def remedy(self) -> str:
        """What becomes of a run of which this attempt collapses, as a sentence."""
        if not self.is_last:
            return f"The run begins again from the pretrained weights, with --seed {self.options.seed + 1}."
        usual = "Try a smaller --learning_rate, a longer --warmup_ratio, --mixed_precision no, "
        if self.number:
            return f"So did all {self.number} before it, and this one is kept. {usual}or more epochs."
        return f"{usual}another --seed (--restart_on_collapse 3 does), or more epochs."

    def give_up(self, step: int) -> NoReturn:
        """Leave this attempt for the next one after `step`."""
        self.steps = step
        raise Collapsed


def attempts(model: TransferModel, options: TrainingOptions, saved: Saved | None) -> Iterator[Attempt]:
    """The attempts that a run has, from the one on of which `saved` is; whoever asks for the next gave the last up.

    Each finds in `model` what a recipe with its seed would have loaded: a copy of the network as it was, its new
    weights drawn again. Every process makes the same ones, for all judge by the same logits.
    """
    untouched = copy.deepcopy(model.network) if options.restart_on_collapse else None
    place = saved.values["place"] if saved else {}
    before = place.get("before", 0)
    for number in range(place.get("attempt", 0), options.restart_on_collapse + 1):
        seed = options.seed + number
        if number:
            assert untouched is not None
            model.network, model.adapter = untouched, None
            gc.collect()  # the one that has collapsed, before there is another
            if number < options.restart_on_collapse:
                model.network = copy.deepcopy(untouched)
            _draw_again(model, seed)
        is_last = number == options.restart_on_collapse
        yield (attempt := Attempt(replace(options, seed=seed), number, before, is_last, saved))
        before += attempt.steps
        saved = None


def _draw_again(model: TransferModel, seed: int) -> None:
    """Give weights that the checkpoint did not have what `TransferModel.load` gives them after `set_seed(seed)`."""
    set_seed(seed)
    if not model.checkpoint or not model.new_parameters:
        return
    loaded = model.head.build(model.checkpoint)
    if model.keeps_head:
        loaded = kept_head(model.checkpoint, loaded)
    drawn = loaded.network.state_dict()
    with torch.no_grad():
        for name in model.new_parameters:
            model.network.get_parameter(name).copy_(drawn[name])
