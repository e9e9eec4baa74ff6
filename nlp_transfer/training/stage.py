"""How is one stage of a run trained, judged and kept?"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import is_compiled_module
from torch import nn

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.inputs import Inputs, TokenInputs
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy
from nlp_transfer.strategies.param_groups import ParamGroup
from nlp_transfer.strategies.strategy import Stage
from nlp_transfer.training.checkpointing.checkpoint_files import Saved
from nlp_transfer.training.checkpointing.manager import Keeper, Place
from nlp_transfer.training.checkpointing.run_state import State
from nlp_transfer.training.fast_dropout import quick_dropout
from nlp_transfer.training.fsdp import Shards, are_asked_for
from nlp_transfer.training.optimizer import adamw, schedule
from nlp_transfer.training.plan import Plan
from nlp_transfer.training.progress import Step
from nlp_transfer.training.restarts import Attempt
from nlp_transfer.training.steps import Trainer, steps
from nlp_transfer.training.vocabulary_pruning import size

log = logging.getLogger(__name__)

_TIMED = 20  # steps after which it is told how long the others will take


@dataclass(frozen=True)
class Run:
    """What the stages of a run have in common; `options` have the seed of the `attempt` that it is."""

    model: TransferModel
    splits: Splits
    options: TrainingOptions
    accelerator: Accelerator
    strategy: Strategy
    frozen: FrozenLayers
    stages: Sequence[Stage]
    state: State
    keeper: Keeper
    attempt: Attempt

    def stage(
        self, number: int, train: TokenInputs, validation: TokenInputs | None, step: Step, saved: Saved | None
    ) -> Step:
        """Train a stage, going on from `step`, or from within it where `saved` is; give its last step."""
        stage, is_last = self.stages[number], number == len(self.stages) - 1
        strategy, model, options, progress = self.strategy, self.model, self.options, self.state.progress
        place = Place(
            number, step.number, step.epoch, step.number, step.epoch, 0.0, is_judged=True, fed="",
            attempt=self.attempt.number, before=self.attempt.before,
        )  # fmt: skip
        if saved:
            place = Place(**saved.values["place"])
            step = replace(step, number=place.first_step, epoch=place.first_epoch)
        left = options.max_train_steps and options.max_train_steps - step.number
        plan = Plan.make(train, options, self.accelerator.num_processes, stage, step, left, is_last)
        plan = replace(plan, micro_batches=place.parts or plan.micro_batches)
        if stage.epochs and not plan.steps:  # --max_train_steps ended the run in an earlier stage
            return step
        begins, most = number == 0 and not saved, 0
        widest = min(self.stages, key=lambda other: other.frozen_layers)
        if begins and widest.frozen_layers < stage.frozen_layers:  # it needs the most room on disk, hours from now
            strategy.start(model, widest)
            most = _trained_weights(strategy.trained(model))
        strategy.start(model, stage)
        groups: list[ParamGroup] = []
        if stage.epochs:
            trained = _say_what_trains(strategy.trained(model), self.accelerator.mixed_precision)
            if begins:
                self.keeper.require_room(max(most, trained))
            groups = strategy.groups(model, stage.learning_rate, options.weight_decay)
            groups = model.head.scale_param_groups(model.network, groups)
        name = "training" if len(self.stages) == 1 else f"training, stage {number + 1} of {len(self.stages)}"
        done = place.step - place.first_step
        with self.frozen.truncated(stage.frozen_layers) as feed, progress.stage(name, plan.steps, done):
            rows, judged = feed(train), feed(validation) if validation else None
            place = replace(place, fed=_require_fed_alike(rows, place.fed))
            if not saved:
                self.state.best.start_stage()
                strategy.initialise(model, rows)
            if not plan.steps:
                if judged:
                    self.judge(judged, step, run_ends=is_last)
                return step
            with _trainer(strategy, model, groups, plan, options, self.accelerator) as trainer:
                if saved:
                    self.state.put_back(saved, trainer.optimizer, trainer.rates)
                return self._train(trainer, rows, judged, plan, place)

    def _train(self, trainer: Trainer, rows: Inputs, judged: Inputs | None, plan: Plan, place: Place) -> Step:
        """The steps of a stage from `place` on; gives the last one."""
        last = plan.last_step if place.stage == len(self.stages) - 1 else None  # of the run
        step = Step(place.step, place.epoch, torch.zeros(()), place.learning_rate, 0)
        if judged and not place.is_judged:
            self.judge(judged, step, run_ends=step.number == last)
        if step.number == plan.last_step or self._is_impatient():
            return step
        with contextlib.closing(steps(trainer, rows, plan, done=place.step - plan.first_step)) as updates:
            for step in updates:
                self.state.progress.step(step)
                if step.number - place.step == _TIMED:
                    self.state.progress.say_time_left(_TIMED, *self._left(place.stage, plan, step))
                stop, due = self.keeper.wants(step.number, plan, run_ends=step.number == last)
                is_judged = not judged or step.number not in plan.evaluations
                if judged and not is_judged and not stop:
                    with self.state.progress.paused():
                        self.judge(judged, step, run_ends=step.number == last, trainer=trainer)
                    is_judged = True
                    if step.number == plan.last_step or self._is_impatient():  # scoring takes long, and no step follows
                        stop = self.keeper.stops()
                if stop or due:
                    self.keeper.keep(place.moved_to(step, is_judged), self.state, trainer)
                if stop:
                    self.keeper.stop(stop, step.number)
                if self._is_impatient():
                    break
        return step

    def judge(self, rows: Inputs, step: Step, *, run_ends: bool, trainer: Trainer | None = None) -> None:
        """Score the validation rows, and keep the weights if they are the best so far. Raises Collapsed."""
        if trainer:
            trainer.gather()
        self.state.progress.flush(step)  # a loss that is no number stops the run here, before it is scored
        assert self.splits.validation is not None
        head, columns = self.model.head, self.splits.validation.data[:]
        outputs = outputs_of(self.model, rows, self.options, self.accelerator)
        scores = head.evaluate(outputs, columns)
        self.state.progress.scores(step, scores)
        self.state.best.see(step.epoch, scores)
        if head.can_collapse:
            labels = [label for row in head.targets(head.references(columns)) for label in row]
            self.state.collapse.see(
                outputs, labels, scores["loss"], step.epoch, run_ends=run_ends, remedy=self.attempt.remedy,
                best=self.state.best.epoch if self._is_impatient() else None,
            )  # fmt: skip
        if self.state.collapse.said and not self.attempt.is_last:
            self.attempt.give_up(step.number)

    def _left(self, number: int, plan: Plan, step: Step) -> tuple[int, bool]:
        """How many steps of the run are left, those of later stages too, and whether these train more layers."""
        stage, *later = self.stages[number:]
        left = plan.last_step - step.number + sum(math.ceil(other.epochs * plan.steps_per_epoch) for other in later)
        if self.options.max_train_steps:
            left = self.options.max_train_steps - step.number
        return left, any(other.frozen_layers < stage.frozen_layers for other in later)

    def _is_impatient(self) -> bool:
        patience = self.options.early_stopping_patience
        return patience is not None and self.state.best.misses >= patience


def outputs_of(
    model: TransferModel, rows: Inputs, options: TrainingOptions, accelerator: Accelerator
) -> list[np.ndarray]:
    """Logits of each row that is judged, `(items, labels)`, on every process."""
    # Not the wrapped network: processes may have different numbers of batches, and DistributedDataParallel would wait.
    return infer(
        model.network,
        model.head,
        rows,
        batch_size=options.per_device_eval_batch_size,
        accelerator=accelerator,
        progress="validation",
    )


def _trained_weights(module: nn.Module) -> int:
    return sum(size(p) for p in module.parameters() if p.requires_grad)


def _say_what_trains(module: nn.Module, precision: str) -> int:
    trained = _trained_weights(module)
    weights = sum(size(p) for p in module.parameters())
    inside = "fp32" if precision == "no" else f"{precision} (--mixed_precision no for fp32)"
    log.info(
        "Training %s of %s weights (%.3g%%), in %s.", f"{trained:,}", f"{weights:,}", 100 * trained / weights, inside
    )
    return trained


def _require_fed_alike(rows: Inputs, before: str) -> str:
    """What a network is fed with, by name. OptionError where a run that goes on was fed with something else `before`.

    What the cache keeps was computed in batches of other shapes than those that train, and differs in rounding.
    """
    now = type(rows).__name__
    if before and now != before:
        raise OptionError(
            "the states of frozen layers were kept when the run began and are computed for each batch now, or the "
            "other way round, which changes rounding; give the cache the room that it had (--cache_gb, --cache_dir)."
        )
    return now


@contextlib.contextmanager
def _trainer(
    strategy: Strategy,
    model: TransferModel,
    groups: list[ParamGroup],
    plan: Plan,
    options: TrainingOptions,
    accelerator: Accelerator,
) -> Iterator[Trainer]:
    """What trains a stage, with an optimizer and a schedule of its own; afterwards the module is unwrapped again."""
    shards = Shards.of(model.network, accelerator) if are_asked_for() else None
    optimizer = adamw(shards.groups(groups) if shards else groups)
    rates = schedule(options.lr_scheduler_type, optimizer, plan.steps, options.warmup_ratio)
    if shards:
        learns = module = shards.module
        optimizer = accelerator.prepare(optimizer)
    else:
        learns = strategy.trained(model)
        module, optimizer = accelerator.prepare(learns, optimizer)
    try:
        with _compiling() if is_compiled_module(module) else quick_dropout(learns):
            trainer = Trainer(strategy, model, module, optimizer, rates, accelerator, options.max_grad_norm, shards)
            yield trainer
        trainer.gather()
    finally:
        accelerator.unwrap_model(module, keep_fp32_wrapper=False)
        # Accelerate prepares nothing twice, and would train the next stage without autocast.
        learns.__dict__.pop("_is_accelerate_prepared", None)
        accelerator.free_memory()


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """What the compiler cannot do is told in one line; dropout stays PyTorch's own, which it fuses."""
    from torch._dynamo.exc import TorchDynamoException  # takes a second

    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        raise OptionError(f"--torch_compile cannot compile this network here ({reason}); leave it out.") from error
