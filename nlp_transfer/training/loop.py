"""The training loop: prepare, train, evaluate, keep the best."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, set_seed
from torch import nn

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.inputs import Inputs, TokenInputs
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.errors import OptionError
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy, strategy_named
from nlp_transfer.strategies.param_groups import ParamGroup
from nlp_transfer.strategies.strategy import Stage
from nlp_transfer.system import hardware
from nlp_transfer.training import fsdp
from nlp_transfer.training.accelerator import make_accelerator
from nlp_transfer.training.best_weights import BestWeights
from nlp_transfer.training.checkpointing.checkpoint_files import SavedCheckpoint
from nlp_transfer.training.checkpointing.fingerprint import options_of
from nlp_transfer.training.checkpointing.manager import CheckpointManager, ResumePoint
from nlp_transfer.training.checkpointing.run_state import RunState
from nlp_transfer.training.collapse import Collapse
from nlp_transfer.training.option_check import require_trainable_head, validate_options
from nlp_transfer.training.plan import Plan, epochs_of
from nlp_transfer.training.progress import Progress, Step
from nlp_transfer.training.restarts import Attempt, Collapsed, with_restarts
from nlp_transfer.training.steps import steps
from nlp_transfer.training.trainer import Trainer, prepared_trainer
from nlp_transfer.training.vocabulary_pruning import pruned_vocabulary, size
from nlp_transfer.types import RunResult

log = logging.getLogger(__name__)

Evaluate = Callable[[Step, bool], None]
"""Scores the validation rows after a step, which may be the last one of the run, and keeps the best weights."""


def fit(
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions | None = None,
    accelerator: Accelerator | None = None,
    strategy: Strategy | str = "full",
    cache: CacheOptions | None = None,
    checkpoints: str | Path | None = None,
    resume: str | None = None,
) -> RunResult:
    """Train a model in place; it ends with the weights of the best evaluation on `splits.validation`.

    Without validation rows it ends with the last weights. `strategy` says what trains, and in which order; activations
    of frozen layers are computed once, and cached as `cache` says.

    With a folder for `checkpoints` the run can be stopped and resumed, with the same result: it writes its state there
    as often as `options.checkpoint_every` says, and when it receives SIGTERM or SIGINT, which then raises Interrupted.
    The same call with `resume` "" continues from the newest checkpoint in the folder, or starts where there is none; a
    path names the checkpoint to resume from. The folder is for the caller to remove once the model is saved.

    With `options.restart_on_collapse` a run whose network has collapsed restarts from a copy of the network as it was,
    with another seed: `model.network` is that copy then, and `RunResult.seed` its seed.

    Every process of an `accelerate launch` calls this with the same arguments. The global batch is
    `per_device_train_batch_size * gradient_accumulation_steps * processes` rows, and which rows it holds depends on
    the seed and the epoch alone. Raises OptionError for a metric that the task does not have, for a strategy that the
    encoder does not allow, for options that need validation rows where there are none, or that are not those of the
    run to resume, and UserError where the loss is no longer finite, or the disk has no room for a checkpoint.
    """
    options = options or TrainingOptions()
    validate_options(options, splits, model)
    strategy = strategy_named(strategy) if isinstance(strategy, str) else strategy
    if fsdp.is_requested():
        fsdp.refuse_options(options, strategy, resume)
        checkpoints = None
    accelerator = accelerator or make_accelerator(options)
    _require_usable(accelerator, model)
    hardware.keep_freed_memory()
    manager = CheckpointManager(checkpoints, options, accelerator)
    saved = manager.find(resume, options_of(model, splits, options, accelerator, strategy, cache))
    accelerator.init_trackers("nlp_transfer", config={k: str(v) for k, v in asdict(options).items()})

    train = partial(_fit_once, model, splits, strategy, accelerator, cache, manager)
    return with_restarts(train, model, options, accelerator, saved)


def _require_usable(accelerator: Accelerator, model: TransferModel) -> None:
    if accelerator.distributed_type == DistributedType.FSDP:
        raise OptionError(
            "this Accelerator would shard the network itself; pass one made by nt.make_accelerator, or none."
        )
    precision_for(model.encoder.family, accelerator.mixed_precision)  # raises for a precision that it does not support


def _fit_once(
    model: TransferModel,
    splits: Splits,
    strategy: Strategy,
    accelerator: Accelerator,
    cache: CacheOptions | None,
    manager: CheckpointManager,
    attempt: Attempt,
    saved: SavedCheckpoint | None,
) -> RunResult:
    """Train with the seed of `attempt`, from the start or from the checkpoint `saved`. Raises Collapsed."""
    options = attempt.options
    set_seed(options.seed)
    model.head.forget_calibration()  # that of other weights
    strategy.setup(model, options.seed)
    model.network.to(accelerator.device)  # frozen layers run before anything is prepared
    train = _encoded(model, splits.train, "Training rows")
    validation = _encoded(model, splits.validation, "Validation rows") if splits.validation else None
    inputs = [train, validation] if validation else [train]
    manager.require_same_inputs(saved, model, train)
    epochs = epochs_of(train, options, accelerator.num_processes)
    stages = strategy.stages(model.encoder, epochs, options.learning_rate or strategy.default_learning_rate)
    require_trainable_head(model, stages)
    frozen = FrozenLayers(model.encoder, accelerator, cache)
    frozen.run(inputs, sorted({stage.frozen_layers for stage in stages} - {0}))
    if not attempt.number and not saved:  # else the cache holds what this run itself has computed, in its `seconds`
        manager.seconds_spared = frozen.seconds_spared
    set_seed(options.seed, device_specific=True)  # dropout differs between processes

    progress = Progress(accelerator, options.logging_steps, attempt.earlier_steps)
    is_prunable = _trains_embeddings_of_data_alone(strategy, model, stages)
    with pruned_vocabulary(inputs, model.network) if is_prunable else contextlib.nullcontext():
        metric = options.metric_for_best_model or model.head.best_metric
        best = BestWeights(metric, dict(model.network.named_parameters()))
        state = RunState.of(strategy.trained(model), best, progress, Collapse())
        run = _Run(model, splits.validation, strategy, accelerator, frozen, stages, train, validation, state, manager,
                   attempt)  # fmt: skip
        with manager.stopping_on_signals():
            last = _train(run, saved)
        score = best.restore()
    strategy.finish(model)
    if validation and splits.validation:
        _calibrate(model, validation, splits.validation, options, accelerator, cache)
    return RunResult(
        metric=best.metric,
        best_score=score,
        best_epoch=best.epoch if score is not None else None,
        steps=last.number,
        seconds=manager.seconds,
        rows_per_second=progress.rows / progress.seconds if progress.rows else 0.0,
        trained_weights=best.trained_weights,
        history=tuple(progress.history),
        seed=options.seed,
        restarts=attempt.number,
        seconds_spared=manager.seconds_spared,
    )


def _encoded(model: TransferModel, rows: Rows, name: str) -> TokenInputs:
    return TokenInputs(model.encode(rows.data, name), model.pad_id)


def _trains_embeddings_of_data_alone(strategy: Strategy, model: TransferModel, stages: Sequence[Stage]) -> bool:
    """Whether word embeddings train, and on the words of these rows alone, not on those of a source."""
    return stages[-1].frozen_layers == 0 and not model.adapter and strategy.trained(model) is model.network


@dataclass(frozen=True)
class _Run:
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
        return self.attempt.options

    def is_out_of_patience(self) -> bool:
        return self.state.best.has_stalled(self.options.early_stopping_patience)


def _train(run: _Run, saved: SavedCheckpoint | None) -> Step:
    """Train the stages of a run, from that of the checkpoint `saved` on; returns the last step."""
    step = Step(0, 0.0, torch.zeros((), device=run.accelerator.device), 0.0, 0)
    for number in range(ResumePoint.read(saved).stage if saved else 0, len(run.stages)):
        step = _train_stage(run, number, step, saved)
        saved = None
    return step


def _train_stage(run: _Run, number: int, last: Step, saved: SavedCheckpoint | None) -> Step:
    """Train a stage after the step `last`, or from within it where `saved` is; returns its last step."""
    stage, is_last = run.stages[number], number == len(run.stages) - 1
    if saved:
        point = ResumePoint.read(saved)
        last = replace(last, number=point.first_step, epoch=point.first_epoch)
    else:
        point = ResumePoint.start_of(number, last, run.attempt.number, run.attempt.earlier_steps)
    plan = Plan.make(run.train, run.options, run.accelerator.num_processes, stage, last, is_last)
    plan = replace(plan, micro_batches=point.micro_batches or plan.micro_batches)
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
            if evaluate:
                evaluate(last, is_last)
            return last
        with prepared_trainer(run.strategy, run.model, groups, plan.steps, run.options, run.accelerator) as trainer:
            if saved:
                run.state.load(saved, trainer.optimizer, trainer.lr_scheduler)
            return _train_steps(run, trainer, rows, evaluate, plan, point)


def _start_stage(run: _Run, number: int, is_new_run: bool) -> list[ParamGroup]:
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


def _later_steps(run: _Run, number: int, plan: Plan) -> tuple[int, bool]:
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
        raise OptionError(
            "activations of frozen layers were cached when the run started and are computed for each batch now, or the "
            "other way round, which changes rounding; give the cache the room that it had (--cache_gb, --cache_dir)."
        )
    return kind


def _train_steps(
    run: _Run, trainer: Trainer, rows: Inputs, evaluate: Evaluate | None, plan: Plan, point: ResumePoint
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


def _evaluate(run: _Run, inputs: Inputs, step: Step, run_ends: bool) -> None:
    """Score the validation rows, and keep the weights if they are the best so far. Raises Collapsed."""
    assert run.validation_rows is not None
    head, columns, state = run.model.head, run.validation_rows.data[:], run.state
    state.progress.flush(step)  # a loss of NaN stops the run here, before anything is scored
    logits = _logits_of(run.model, inputs, run.options, run.accelerator)
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


def _calibrate(
    model: TransferModel,
    inputs: TokenInputs,
    rows: Rows,
    options: TrainingOptions,
    accelerator: Accelerator,
    cache: CacheOptions | None,
) -> None:
    """Fit the temperature or the thresholds of the head, where it has any, to the validation rows."""
    if not model.head.is_tuned:
        return
    frozen, depth = FrozenLayers(model.encoder, accelerator, cache), model.encoder.frozen_layers
    if depth:
        frozen.run([inputs], [depth])
    with frozen.truncated(depth) as inputs_of:
        logits = _logits_of(model, inputs_of(inputs), options, accelerator)
    model.head.tune(logits, rows.data[:])


def _logits_of(
    model: TransferModel, inputs: Inputs, options: TrainingOptions, accelerator: Accelerator
) -> list[np.ndarray]:
    """Logits of each row, `(items, labels)`, on every process."""
    # Not the wrapped network: processes may have different numbers of batches, and DistributedDataParallel would wait.
    return infer(
        model.network,
        model.head,
        inputs,
        batch_size=options.per_device_eval_batch_size,
        accelerator=accelerator,
        progress="validation",
    )
