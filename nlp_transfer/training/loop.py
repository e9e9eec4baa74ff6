"""The training loop: `fit` consumes the updates of one stage after another, and keeps the best weights."""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedType, ProjectConfiguration, TorchDynamoPlugin, set_seed

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy, strategy_named
from nlp_transfer.strategies.strategy import Stage
from nlp_transfer.system import hardware
from nlp_transfer.training import fsdp
from nlp_transfer.training.best_weights import Best
from nlp_transfer.training.checkpointing.fingerprint import options_of, tokens_of, weights_of
from nlp_transfer.training.checkpointing.manager import Keeper
from nlp_transfer.training.checkpointing.run_state import State
from nlp_transfer.training.collapse import Collapse
from nlp_transfer.training.plan import epochs_of
from nlp_transfer.training.progress import Progress, Step
from nlp_transfer.training.restarts import Attempt, Collapsed, attempts
from nlp_transfer.training.stage import Run, outputs_of
from nlp_transfer.training.vocabulary_pruning import only_words_of
from nlp_transfer.types import RunResult

log = logging.getLogger(__name__)

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


def make_accelerator(options: TrainingOptions, folder: str | Path = ".") -> Accelerator:
    """The Accelerator of a run: its device and processes come from the launcher, its precision from the options.

    Trackers that write files write them to `logs/` in `folder`. Raises OptionError for a tracker that is unknown or
    not installed (Accelerate itself would leave it out without a word), for a precision the device has not, and for a
    launcher that asks for DeepSpeed, Megatron or the first FSDP.
    """
    fsdp.validate_launcher()
    for tracker in options.report_to:
        if tracker not in TRACKERS:
            raise OptionError(f"--report_to {tracker}: known trackers are {', '.join(TRACKERS)}.")
        if tracker not in {str(there) for there in get_available_trackers()}:
            raise OptionError(f"--report_to {tracker}: it is not installed; pip install {tracker}.")
    try:
        with fsdp.out_of_sight():
            accelerator = Accelerator(
                cpu=hardware.is_cpu_only(),
                mixed_precision=hardware.precision(options.mixed_precision),
                log_with=list(options.report_to) or None,
                project_config=ProjectConfiguration(str(folder), logging_dir=str(Path(folder) / "logs")),
            )
    except (ImportError, ValueError) as error:
        raise OptionError(f"cannot set up the run: {error}") from error
    # Accelerate keeps that of the first Accelerator of a process; without a backend it reads what the launcher said.
    compiled = options.torch_compile
    accelerator.state.dynamo_plugin = TorchDynamoPlugin(
        backend="inductor" if compiled else None, dynamic=compiled or None
    )
    hardware.use_cores()
    return accelerator


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

    Without validation rows it ends with the last weights. `strategy` says what trains, in which order; what layers
    that stay still give is computed once and kept as `cache` says.

    With a folder for `checkpoints` the run can be stopped, and go on as if it had not been: it writes its state there
    as often as `options.checkpoint_every` says, and when SIGTERM or SIGINT tells it to stop, which then raises
    Interrupted. The same call with `resume` "" goes on from the newest checkpoint in the folder, or begins where there
    is none; a path names the one to go on from. Whoever saves what was trained removes the folder.

    With `options.restart_on_collapse` a run whose network has collapsed begins again from a copy of the network as it
    was, with another seed: `model.network` is that copy then, and `RunResult.seed` tells.

    Every process of an `accelerate launch` calls this with the same arguments. The global batch is
    `per_device_train_batch_size * gradient_accumulation_steps * processes` rows, and which rows it holds depends on
    the seed and the epoch alone. Raises OptionError for a metric that the task does not have, for a strategy that the
    encoder does not allow, for options that need validation rows where there are none, or that are not those of the
    run to go on with, and UserError where the loss is no longer finite, or the disk has no room for a checkpoint.
    """
    options = options or TrainingOptions()
    _validate_options(options, splits, model)
    strategy = strategy_named(strategy) if isinstance(strategy, str) else strategy
    if fsdp.are_asked_for():
        fsdp.refuse_options(options, strategy, resume)
        checkpoints = None
    accelerator = accelerator or make_accelerator(options)
    if accelerator.distributed_type == DistributedType.FSDP:
        raise OptionError(
            "this Accelerator would cut the network into shards itself; give the one of nt.make_accelerator, or none."
        )
    precision_for(model.encoder.family, accelerator.mixed_precision)  # raises where it cannot be
    hardware.keep_freed_memory()
    keeper = Keeper(checkpoints, options, accelerator)
    saved = keeper.find(resume, options_of(model, splits, options, accelerator, strategy, cache))
    accelerator.init_trackers("nlp_transfer", config={k: str(v) for k, v in asdict(options).items()})

    scale = accelerator.scaler.state_dict() if accelerator.scaler else None
    for attempt in attempts(model, options, saved):
        if scale:  # of fp16, which an attempt that has collapsed may have left anywhere
            accelerator.scaler.load_state_dict(scale)
        with contextlib.suppress(Collapsed):
            return _fit_once(model, splits, attempt, accelerator, strategy, cache, keeper)
    raise AssertionError("the last attempt ends, collapsed or not")


def _fit_once(
    model: TransferModel,
    splits: Splits,
    attempt: Attempt,
    accelerator: Accelerator,
    strategy: Strategy,
    cache: CacheOptions | None,
    keeper: Keeper,
) -> RunResult:
    """One attempt of `fit`, with the seed and from the place that `attempt` says. Raises Collapsed."""
    options, saved = attempt.options, attempt.saved
    set_seed(options.seed)
    model.head.forget_calibration()  # that of other weights
    strategy.setup(model, options.seed)
    model.network.to(accelerator.device)  # frozen layers run before anything is prepared
    train = TokenInputs(model.encode(splits.train.data, "Training rows"), model.pad_id)
    validation = None
    if splits.validation:
        validation = TokenInputs(model.encode(splits.validation.data, "Validation rows"), model.pad_id)
    if keeper.checkpoints:
        keeper.require_same(saved, weights_of(model) | tokens_of(train.lengths))
    encoder = model.encoder
    stages = strategy.stages(encoder, epochs_of(train, options, accelerator.num_processes), _rate(strategy, options))
    _require_a_head_that_learns(model, stages)
    frozen = FrozenLayers(encoder, accelerator, cache)
    frozen.run([rows for rows in (train, validation) if rows], sorted({stage.frozen_layers for stage in stages} - {0}))
    if not attempt.number and not saved:  # else it is its own pass that the cache holds, and `seconds` has it
        keeper.seconds_spared = frozen.seconds_spared
    set_seed(options.seed, device_specific=True)  # dropout differs between processes

    progress = Progress(accelerator, options.logging_steps, attempt.before)
    step = Step(0, 0.0, torch.zeros((), device=accelerator.device), 0.0, 0)
    read = only_words_of([rows for rows in (train, validation) if rows], model.network)
    with read if _reads_no_others(strategy, model, stages) else contextlib.nullcontext():
        best = Best(options.metric_for_best_model or model.head.best_metric, dict(model.network.named_parameters()))
        state = State.of(strategy.trained(model), best, progress, Collapse())
        run = Run(model, splits, options, accelerator, strategy, frozen, stages, state, keeper, attempt)
        with keeper.listening():
            for stage in range(saved.values["place"]["stage"] if saved else 0, len(stages)):
                step = run.stage(stage, train, validation, step, saved)
                saved = None
        score = best.restore()
    strategy.finish(model)
    if validation and splits.validation and model.head.is_tuned:
        model.head.tune(_outputs_on(validation, model, options, accelerator, cache), splits.validation.data[:])
    return RunResult(
        metric=best.metric,
        best_score=score,
        best_epoch=best.epoch if score is not None else None,
        steps=step.number,
        seconds=keeper.seconds,
        rows_per_second=progress.rows / progress.seconds if progress.rows else 0.0,
        trained_weights=best.trained_weights,
        history=tuple(progress.history),
        seed=options.seed,
        restarts=attempt.number,
        seconds_spared=keeper.seconds_spared,
    )


def _outputs_on(
    rows: TokenInputs, model: TransferModel, options: TrainingOptions, accelerator: Accelerator,
    cache: CacheOptions | None,
) -> list[np.ndarray]:  # fmt: skip
    """Logits of each row, `(items, labels)`; layers that stayed still run once."""
    frozen, below = FrozenLayers(model.encoder, accelerator, cache), model.encoder.frozen_layers
    if below:
        frozen.run([rows], [below])
    with frozen.truncated(below) as feed:
        return outputs_of(model, feed(rows), options, accelerator)


def _reads_no_others(strategy: Strategy, model: TransferModel, stages: Sequence[Stage]) -> bool:
    """Whether word embeddings train, and on the words of the target alone."""
    return stages[-1].frozen_layers == 0 and not model.adapter and strategy.trained(model) is model.network


def _validate_options(options: TrainingOptions, splits: Splits, model: TransferModel) -> None:
    """Raise OptionError for what a run would otherwise stumble over hours later."""
    fsdp.validate_launcher()
    for name in ("early_stopping_patience", "metric_for_best_model", "eval_steps", "restart_on_collapse"):
        if getattr(options, name) and splits.validation is None:
            raise OptionError(f"--{name} needs validation rows; give a --validation_file, or hold some rows out.")
    if options.metric_for_best_model and splits.validation:
        require_score(options.metric_for_best_model, model.head, splits.validation)
    if options.restart_on_collapse and not model.head.can_collapse:
        raise OptionError(
            "--restart_on_collapse looks for one label given to all, which this task has not; leave it out."
        )
    if options.sampling == "balanced" and not model.head.can_balance:
        raise OptionError("--sampling balanced draws rows by label, which tags and numbers are not; leave it out.")
    if model.adapter:
        raise OptionError("this model carries an adapter; save it and load what was saved, to train it further.")


def _require_a_head_that_learns(model: TransferModel, stages: Sequence[Stage]) -> None:
    if isinstance(model.network, ShallowClassifier) and any(stage.epochs for stage in stages):
        raise OptionError(
            "the head of this model is a scikit-learn classifier, which no step can train; load the model with a head, "
            "or take --strategy features."
        )


def require_score(
    metric: str, head: TaskHead, rows: Rows, option: str = "metric_for_best_model", but: Sequence[str] = ()
) -> None:
    """OptionError unless the head scores by `metric`; asked with empty predictions, before hours of training.

    `option` is the one that named it, and `but` are scores that it may not name.
    """
    few = rows.data[:8]
    blank = [np.zeros((len(ids), len(head.labels)), np.float32) for ids in head.targets(head.references(few))]
    scores = head.evaluate(blank, few)
    known = [name for name, value in scores.items() if isinstance(value, float) and name not in but]
    if metric not in known:
        near = difflib.get_close_matches(metric, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}."
        raise OptionError(f"--{option} {metric} is not a score of this task{hint}")


def _rate(strategy: Strategy, options: TrainingOptions) -> float:
    return options.learning_rate or strategy.default_learning_rate
