"""The training of one stage of a run: its steps, evaluations and checkpoints."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from accelerate import Accelerator
from torch import nn

from nlp_transfer.activations.cached_inputs import CachedActivations
from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.inputs import Inputs, TokenInputs
from nlp_transfer.data.rows import Rows
from nlp_transfer.errors import OptionError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy
from nlp_transfer.strategies.param_groups import ParamGroup
from nlp_transfer.strategies.strategy import Stage
from nlp_transfer.training.checkpointing.checkpoint_files import SavedCheckpoint
from nlp_transfer.training.checkpointing.manager import CheckpointManager, ResumePoint
from nlp_transfer.training.checkpointing.run_state import RunState
from nlp_transfer.training.plan import Plan
from nlp_transfer.training.progress import Step
from nlp_transfer.training.restarts import Attempt, Collapsed
from nlp_transfer.training.steps import steps
from nlp_transfer.training.trainer import Trainer, prepared_trainer
from nlp_transfer.training.validation import logits_of
from nlp_transfer.training.vocabulary_pruning import size

log = logging.getLogger(__name__)

Evaluate = Callable[[Step, bool], None]
"""Scores the validation rows after a step, which may be the last one of the run, and keeps the best weights."""


@dataclass(frozen=True)
class Run:
    """What the stages of a run share. `train` and `validation` are encoded; `validation_rows` has the labels too."""

    model: TransferModel
    validation_rows: Rows | None
    strategy: Strategy
    accelerator: Accelerator
    frozen: FrozenLayers
    stages: Sequence[Stage]
    train: TokenInputs
    validation: TokenInputs | None
    state: RunState
    manager: CheckpointManager
    attempt: Attempt

    @property
    def options(self) -> TrainingOptions:
        """The options of this attempt, whose seed may be another than that of the first."""
        return self.attempt.options

    def is_out_of_patience(self) -> bool:
        """Whether as many evaluations as `--early_stopping_patience` allows brought no better score."""
        return self.state.best.has_stalled(self.options.early_stopping_patience)


def train_stage(run: Run, number: int, last: Step, saved: SavedCheckpoint | None) -> Step:
    """Train a stage after the step `last`, or from within it where `saved` is; returns its last step."""
    stage, is_last = run.stages[number], number == len(run.stages) - 1
    if saved:
        point = ResumePoint.read(saved)
        last = replace(last, number=point.first_step, epoch=point.first_epoch)
    else:
        point = ResumePoint.start_of(number, last, run.attempt.number, run.attempt.earlier_steps)
    takes_the_rest = not any(later.epochs for later in run.stages[number + 1 :])  # of --max_train_steps
    plan = Plan.make(run.train, run.options, run.accelerator.num_processes, stage, last, takes_the_rest)
    plan = replace(plan, micro_batches=point.micro_batches or plan.micro_batches)
    if not run.strategy.chooses_epoch:
        plan = replace(plan, evaluations=plan.evaluations & {plan.last_step} if is_last else frozenset())
    if stage.epochs and not plan.steps:  # --max_train_steps ended the run in an earlier stage
        return last
    groups = _start_stage(run, number, is_new_run=number == 0 and not saved)
    title = "training" if len(run.stages) == 1 else f"training, stage {number + 1} of {len(run.stages)}"
    bar = run.state.progress.stage(title, plan.steps, point.step - point.first_step, *_later_steps(run, number, plan))
    with run.frozen.truncated(stage.frozen_layers) as inputs_of, bar:
        rows = inputs_of(run.train)
        point = replace(point, inputs=_require_same_inputs(rows, point.inputs))
        evaluate = partial(_evaluate, run, inputs_of(run.validation)) if run.validation else None
        if not saved:
            run.state.best.start_stage()
            run.strategy.initialise(run.model, rows)
        if not plan.steps:  # what there is to train, `initialise` has done
            if evaluate and (is_last or run.strategy.chooses_epoch):
                evaluate(last, is_last)
            return last
        with prepared_trainer(run.strategy, run.model, groups, plan.steps, run.options, run.accelerator) as trainer:
            if saved:
                run.state.load(saved, trainer.optimizer, trainer.lr_scheduler)
            return _train_steps(run, trainer, rows, evaluate, plan, point)


def _start_stage(run: Run, number: int, is_new_run: bool) -> list[ParamGroup]:
    """Freeze what a stage does not train; returns the parameter groups of its optimizer.

    Before the first step of a run, the disk must have room for the checkpoints of its widest stage, hours from now.
    """
    strategy, model, stage = run.strategy, run.model, run.stages[number]
    widest, most = min(run.stages, key=lambda other: other.frozen_layers), 0
    if is_new_run and widest.frozen_layers < stage.frozen_layers:
        strategy.start(model, widest)
        most = _trained_weights(strategy.trained(model))
    strategy.start(model, stage)
    if not stage.epochs:
        return []
    trained = _log_trained_weights(strategy.trained(model), run.accelerator.mixed_precision)
    if is_new_run:
        run.manager.require_disk_room(max(most, trained))
    groups = strategy.groups(model, stage.learning_rate, run.options.weight_decay)
    return model.head.scale_param_groups(model.network, groups)


def _log_trained_weights(module: nn.Module, precision: str) -> int:
    trained = _trained_weights(module)
    weights = sum(size(p) for p in module.parameters())
    inside = "fp32" if precision == "no" else f"{precision} (--mixed_precision no for fp32)"
    log.info(
        "Training %s of %s weights (%.3g%%), in %s.", f"{trained:,}", f"{weights:,}", 100 * trained / weights, inside
    )
    return trained


def _trained_weights(module: nn.Module) -> int:
    return sum(size(p) for p in module.parameters() if p.requires_grad)


def _later_steps(run: Run, number: int, plan: Plan) -> tuple[int, bool]:
    """How many steps of the run follow a stage, and whether later stages train more layers, which takes longer."""
    stage, *later = run.stages[number:]
    count = sum(math.ceil(other.epochs * plan.steps_per_epoch) for other in later)
    if run.options.max_train_steps:
        count = run.options.max_train_steps - plan.last_step
    return count, any(other.frozen_layers < stage.frozen_layers for other in later)


def _require_same_inputs(rows: Inputs, before: str) -> str:
    """The kind of inputs of a stage, by name. OptionError where a run that resumes had another kind `before`.

    Cached activations were computed in batches of other shapes than those that train, and differ in rounding.
    """
    kind = type(rows).__name__
    if before and kind != before:
        was, is_now = ("was not", "is") if kind == CachedActivations.__name__ else ("was", "is not")
        raise OptionError(
            f"the activation cache {was} used before and {is_now} now; resume with the same --cache_gb and --cache_dir."
        )
    return kind


def _train_steps(
    run: Run, trainer: Trainer, rows: Inputs, evaluate: Evaluate | None, plan: Plan, point: ResumePoint
) -> Step:
    """Take the steps of a stage that follow `point`, with its evaluations and checkpoints; returns the last one."""
    run_end = plan.last_step if point.stage == len(run.stages) - 1 else None
    step = Step(point.step, point.epoch, torch.zeros(()), point.learning_rate, 0)
    if evaluate and not point.is_evaluated:  # the run was stopped before this evaluation
        evaluate(step, step.number == run_end)
    if step.number == plan.last_step or run.is_out_of_patience():
        return step
    with contextlib.closing(steps(trainer, rows, plan, done=point.step - plan.first_step)) as updates:
        for step in updates:
            run.state.progress.update(step)
            stop, is_due = run.manager.requested(step.number, plan, step.number == run_end)
            is_evaluated = not evaluate or step.number not in plan.evaluations
            if evaluate and not is_evaluated and not stop:
                with run.state.progress.paused():
                    trainer.gather()
                    evaluate(step, step.number == run_end)
                is_evaluated = True
                if step.number == plan.last_step or run.is_out_of_patience():
                    stop = run.manager.stop_signal()  # evaluating takes long, and no step follows
            if stop or is_due:
                run.manager.save(point.after(step, is_evaluated), run.state, trainer)
            if stop:
                run.manager.interrupt(stop, step.number)
            if run.is_out_of_patience():
                break
    return step


def _evaluate(run: Run, inputs: Inputs, step: Step, run_ends: bool) -> None:
    """Score the validation rows, and keep the weights if they are the best so far. Raises Collapsed."""
    assert run.validation_rows is not None
    head, columns, state = run.model.head, run.validation_rows.data[:], run.state
    state.progress.flush(step)  # a loss of NaN stops the run here, before anything is scored
    logits = logits_of(run.model, inputs, run.options, run.accelerator)
    scores = head.evaluate(logits, columns)
    state.progress.log_scores(step, scores)
    state.best.update(step.epoch, scores)
    if head.can_collapse:
        labels = [label for row in head.targets(head.references(columns)) for label in row]
        state.collapse.observe(
            logits, labels, scores["loss"], step.epoch, run_ends=run_ends, remedy=run.attempt.remedy,
            best=state.best.epoch if run.is_out_of_patience() else None,
        )  # fmt: skip
    if state.collapse.is_detected and not run.attempt.is_last:
        raise Collapsed(step.number)
