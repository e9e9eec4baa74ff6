"""The restarts of a run whose network has collapsed."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from nlp_transfer.config import TrainingOptions
from nlp_transfer.heads.reuse import reuse_head
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.training.checkpointing.checkpoint_files import SavedCheckpoint
from nlp_transfer.training.checkpointing.manager import ResumePoint
from nlp_transfer.types import RunResult


class Collapsed(Exception):  # noqa: N818 (no error: the run restarts)
    """The network has collapsed after `steps` steps, and the run is to restart."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.steps = steps


@dataclass(frozen=True)
class Attempt:
    """One training of a run: the first, or one after a restart. `options` have its seed.

    `number` counts restarts from 0, and `earlier_steps` is how many steps the attempts before it took.
    """

    options: TrainingOptions
    number: int
    earlier_steps: int
    is_last: bool

    @property
    def remedy(self) -> str:
        """What follows if this attempt collapses, as a sentence for the log."""
        if not self.is_last:
            return f"Restarting from the pretrained weights with --seed {self.options.seed + 1}."
        usual = "Try a smaller --learning_rate, a longer --warmup_ratio, --mixed_precision no, "
        if self.number:
            return f"All {self.number} attempts before it collapsed too, and this one is kept. {usual}or more epochs."
        return f"{usual}another --seed (--restart_on_collapse 3 does), or more epochs."


def with_restarts(
    train: Callable[[Attempt, SavedCheckpoint | None], RunResult],
    model: TransferModel,
    options: TrainingOptions,
    accelerator: Accelerator,
    saved: SavedCheckpoint | None,
) -> RunResult:
    """The result of `train`, which is called again with the next seed as long as it raises Collapsed.

    Each attempt finds in `model` what a recipe with its seed would have loaded: a copy of the pretrained network, its
    new weights drawn again. The first one called is that of the checkpoint `saved`, which is passed on to it. Every
    process makes the same attempts, for all of them judge by the same logits.
    """
    pretrained = copy.deepcopy(model.network) if options.restart_on_collapse else None
    scale = accelerator.scaler.state_dict() if accelerator.scaler else None
    point = ResumePoint.read(saved) if saved else None
    first, earlier_steps = (point.attempt, point.earlier_steps) if point else (0, 0)
    for number in range(first, options.restart_on_collapse + 1):
        is_last = number == options.restart_on_collapse
        if number:
            assert pretrained is not None
            model.network, model.adapter = pretrained, None
            gc.collect()  # the one that has collapsed, before there is another
            if not is_last:
                model.network = copy.deepcopy(pretrained)
            _draw_new_weights(model, options.seed + number)
        if scale:  # of fp16, which a collapsed attempt may have left anywhere
            accelerator.scaler.load_state_dict(scale)
        attempt = Attempt(replace(options, seed=options.seed + number), number, earlier_steps, is_last)
        try:
            return train(attempt, saved if number == first else None)
        except Collapsed as collapse:
            earlier_steps += collapse.steps
    raise AssertionError("the last attempt does not raise Collapsed")


def _draw_new_weights(model: TransferModel, seed: int) -> None:
    """Give weights that the checkpoint did not have what `TransferModel.load` gives them after `set_seed(seed)`."""
    set_seed(seed)
    if not model.checkpoint or not model.new_parameters:
        return
    loaded = model.head.build(model.checkpoint)
    if model.keeps_head:
        loaded = reuse_head(model.checkpoint, loaded)
    drawn = loaded.network.state_dict()
    with torch.no_grad():
        for name in model.new_parameters:
            model.network.get_parameter(name).copy_(drawn[name])
