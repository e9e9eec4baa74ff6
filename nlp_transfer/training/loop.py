"""The training loop: `fit` prepares a run, trains its stages and restores the best weights."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, set_seed

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.errors import OptionError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy, strategy_named
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
from nlp_transfer.training.defaults import log_defaults, with_defaults
from nlp_transfer.training.option_check import require_trainable_head, validate_options
from nlp_transfer.training.progress import Progress, Step
from nlp_transfer.training.restarts import Attempt, with_restarts
from nlp_transfer.training.stage import Run, train_stage
from nlp_transfer.training.validation import calibrate
from nlp_transfer.training.vocabulary_pruning import pruned_vocabulary
from nlp_transfer.types import RunResult

log = logging.getLogger(__name__)


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
    the seed and the epoch alone. What `options` leave open is decided by a rule (`nlp_transfer.training.defaults`), and
    `RunResult.options` says what it was. Raises OptionError for a metric that the task does not have, for a strategy
    that the encoder does not allow, for options that need validation rows where there are none, or that are not those
    of the run to resume, and UserError where the loss is no longer finite, or the disk has no room for a checkpoint.
    """
    options = options or TrainingOptions()
    validate_options(options, splits, model)
    strategy = strategy_named(strategy) if isinstance(strategy, str) else strategy
    if fsdp.is_requested():
        fsdp.refuse_options(options, strategy, resume)
        checkpoints = None
    accelerator = accelerator or make_accelerator(options)
    _require_usable(accelerator, model)
    given, options = options, with_defaults(options, model, splits, strategy, accelerator.num_processes)
    if strategy.trains_by_steps:
        log_defaults(given, options)
    hardware.keep_freed_memory()
    manager = CheckpointManager(checkpoints, options, accelerator)
    saved = manager.find(resume, options_of(model, splits, options, accelerator, strategy, cache))
    accelerator.init_trackers("nlp_transfer", config={k: str(v) for k, v in asdict(options).items()})

    train = partial(_fit_once, model, splits, strategy, accelerator, cache, manager)
    return replace(with_restarts(train, model, options, accelerator, saved), options=options)


def _require_usable(accelerator: Accelerator, model: TransferModel) -> None:
    if accelerator.distributed_type == DistributedType.FSDP:
        raise OptionError("FSDP must be set up by nt.make_accelerator; pass that Accelerator, or none.")
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
    epochs, rate = options.num_train_epochs or 0.0, options.learning_rate or 0.0  # `with_defaults` has set them
    stages = strategy.stages(model.encoder, epochs, rate)
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
        run = Run(model, splits.validation, strategy, accelerator, frozen, stages, train, validation, state, manager,
                   attempt)  # fmt: skip
        with manager.stopping_on_signals():
            last = _train(run, saved)
        score = best.restore()
    strategy.finish(model)
    if validation and splits.validation:
        calibrate(model, validation, splits.validation, options, accelerator, cache)
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


def _train(run: Run, saved: SavedCheckpoint | None) -> Step:
    """Train the stages of a run, from that of the checkpoint `saved` on; returns the last step."""
    step = Step(0, 0.0, torch.zeros((), device=run.accelerator.device), 0.0, 0)
    for number in range(ResumePoint.read(saved).stage if saved else 0, len(run.stages)):
        step = train_stage(run, number, step, saved)
        saved = None
    return step
