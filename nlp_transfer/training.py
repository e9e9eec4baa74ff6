"""The training loop: `steps` yields one update after another, `fit` consumes them and keeps the best weights."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration, set_seed
from datasets import Dataset
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from nlp_transfer import hardware
from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.batch import collate, epoch_batches, shares
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError, UserError
from nlp_transfer.heads.base import IGNORED
from nlp_transfer.inference import infer
from nlp_transfer.model import TransferModel
from nlp_transfer.optim import adamw, decay_groups, schedule
from nlp_transfer.types import RunResult, Scores

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


def make_accelerator(options: TrainingOptions, folder: str | Path = ".") -> Accelerator:
    """The Accelerator of a run: its device and processes come from the launcher, its precision from the options.

    Trackers that write files write them to `logs/` in `folder`. Raises OptionError for a tracker that is unknown or
    not installed (Accelerate itself would leave it out without a word), and for a precision the device has not.
    """
    for tracker in options.report_to:
        if tracker not in TRACKERS:
            raise OptionError(f"--report_to {tracker}: known trackers are {', '.join(TRACKERS)}.")
        if tracker not in {str(there) for there in get_available_trackers()}:
            raise OptionError(f"--report_to {tracker}: it is not installed; pip install {tracker}.")
    try:
        return Accelerator(
            mixed_precision=hardware.precision(options.mixed_precision),
            log_with=list(options.report_to) or None,
            project_config=ProjectConfiguration(str(folder), logging_dir=str(Path(folder) / "logs")),
        )
    except (ImportError, ValueError) as error:
        raise OptionError(f"cannot set up the run: {error}") from error


def fit(
    model: TransferModel,
    splits: Splits,
    options: TrainingOptions | None = None,
    accelerator: Accelerator | None = None,
) -> RunResult:
    """Train a model in place; it ends with the weights of the first best evaluation on `splits.validation`.

    Without validation rows it ends with the last weights.

    Every process of an `accelerate launch` calls this with the same arguments. The global batch is
    `per_device_train_batch_size * gradient_accumulation_steps * processes` rows, and which rows it holds depends on
    the seed and the epoch alone. Raises OptionError for a metric that the task does not have, or for options that
    need validation rows where there are none, and UserError where the loss is no longer a number.
    """
    options = options or TrainingOptions()
    _refuse_what_needs_validation(options, splits)
    accelerator = accelerator or make_accelerator(options)
    hardware.keep_freed_memory()
    started = time.perf_counter()

    train = model.encode(splits.train.data)
    validation = model.encode(splits.validation.data) if splits.validation else None
    accelerator.init_trackers("nlp_transfer", config={k: str(v) for k, v in asdict(options).items()})
    optimizer = adamw(decay_groups(model.network.parameters(), options.learning_rate, options.weight_decay))
    plan = Plan.make(train, options, accelerator.num_processes)
    rates = schedule(options.lr_scheduler_type, optimizer, plan.total_steps, options.warmup_ratio)
    network, optimizer = accelerator.prepare(model.network, optimizer)
    set_seed(options.seed, device_specific=True)  # dropout differs between processes

    best = Best(options.metric_for_best_model or model.head.best_metric)
    log = _Log(accelerator, plan, options.logging_steps)
    for step in steps(model, network, train, optimizer, rates, plan, accelerator, options.max_grad_norm):
        log.step(step)
        if step.number in plan.evaluations and splits.validation and validation:
            log.flush(step)  # a loss that is no number stops the run here, before it is scored
            with log.paused():
                scores = _evaluate(model, validation, splits.validation.data, options, accelerator)
                log.scores(step, scores)
                best.see(step, scores, model.network)
            if options.early_stopping_patience and best.misses >= options.early_stopping_patience:
                break
    log.close()
    best.restore(accelerator.unwrap_model(network, keep_fp32_wrapper=False))
    return RunResult(
        metric=best.metric,
        best_score=best.score if validation else None,
        best_epoch=best.epoch if validation else None,
        steps=step.number,
        seconds=time.perf_counter() - started,
        rows_per_second=log.rows / log.seconds,
        history=tuple(log.history),
    )


def _refuse_what_needs_validation(options: TrainingOptions, splits: Splits) -> None:
    for name in ("early_stopping_patience", "metric_for_best_model", "eval_steps"):
        if getattr(options, name) and splits.validation is None:
            raise OptionError(f"--{name} needs validation rows; give a --validation_file, or hold some rows out.")


@dataclass(frozen=True)
class Step:
    """One update of the weights. `loss` is this process's part of the mean loss of a labelled item of the batch."""

    number: int
    epoch: float
    loss: Tensor
    learning_rate: float
    rows: int


@dataclass(frozen=True)
class Plan:
    """How many steps a run takes, and after which ones it is evaluated."""

    lengths: Sequence[int]
    labelled: np.ndarray
    batch_size: int
    micro_batches: int
    steps_per_epoch: int
    total_steps: int
    evaluations: frozenset[int]
    seed: int

    @classmethod
    def make(cls, train: Dataset, options: TrainingOptions, processes: int) -> Plan:
        """The plan for features `train` under `options`."""
        micro_batches = options.gradient_accumulation_steps
        batch_size = options.per_device_train_batch_size * micro_batches * processes
        per_epoch = math.ceil(len(train) / batch_size)
        epochs = options.num_train_epochs or _enough_epochs(per_epoch)
        total = options.max_train_steps or math.ceil(epochs * per_epoch)
        every = options.eval_steps or per_epoch
        return cls(
            lengths=[len(ids) for ids in train["input_ids"]],
            labelled=np.array([_count_labelled(labels) for labels in train["labels"]]),
            batch_size=batch_size,
            micro_batches=micro_batches,
            steps_per_epoch=per_epoch,
            total_steps=total,
            evaluations=frozenset({*range(every, total + 1, every), total}),
            seed=options.seed,
        )


def _enough_epochs(steps_per_epoch: int) -> int:
    """3 epochs, or as many as make 300 steps, but no more than 30.

    Three epochs of a few hundred rows leave a network untrained; training on for many more is what makes fine-tuning
    on small sets stable (Mosbach et al. 2021, "On the stability of fine-tuning BERT").
    """
    return min(30, max(3, math.ceil(300 / steps_per_epoch)))


def _count_labelled(labels: int | Sequence[int]) -> int:
    return sum(label != IGNORED for label in labels) if isinstance(labels, Sequence) else 1


def steps(
    model: TransferModel,
    network: nn.Module,
    train: Dataset,
    optimizer: torch.optim.Optimizer,
    rates: LRScheduler,
    plan: Plan,
    accelerator: Accelerator,
    max_grad_norm: float,
) -> Iterator[Step]:
    """Update the weights once for each global batch, and yield what was done."""
    number = 0
    for epoch in range(math.ceil(plan.total_steps / plan.steps_per_epoch)):
        for batch in epoch_batches(plan.lengths, plan.batch_size, plan.seed, epoch):
            network.train()
            loss = _backward(model, network, train, batch, plan, accelerator)
            if max_grad_norm:
                accelerator.clip_grad_norm_(network.parameters(), max_grad_norm)
            rate = float(rates.get_last_lr()[0])
            optimizer.step()
            rates.step()
            optimizer.zero_grad()
            number += 1
            yield Step(number, number / plan.steps_per_epoch, loss, rate, len(batch))
            if number == plan.total_steps:
                return


def _backward(
    model: TransferModel,
    network: nn.Module,
    train: Dataset,
    batch: Sequence[int],
    plan: Plan,
    accelerator: Accelerator,
) -> Tensor:
    """Gradients of this process's share of a global batch; they are averaged over the processes at its end."""
    count = int(plan.labelled[list(batch)].sum())
    mine = shares(batch, accelerator.num_processes, plan.micro_batches)[accelerator.process_index]
    total = torch.zeros((), device=accelerator.device)
    for i, places in enumerate(mine):
        last = i == len(mine) - 1
        if not places and not last:
            continue
        with contextlib.nullcontext() if last else accelerator.no_sync(network):
            features = train[places or [batch[0]]]
            tensors = {k: v.to(accelerator.device) for k, v in collate(features, model.pad_id, IGNORED).items()}
            labels = tensors.pop("labels")
            if not places:  # nothing left for this process, but the others wait for its gradients: all zeros
                labels = torch.full_like(labels, IGNORED)
            loss = model.head.loss(network(**tensors).logits, labels, max(count, 1))
            # Gradients are averaged over processes, and the loss is divided by the global count already.
            accelerator.backward(loss * accelerator.num_processes)
            total += loss.detach()
    return total


def _evaluate(
    model: TransferModel,
    features: Dataset,
    rows: Dataset,
    options: TrainingOptions,
    accelerator: Accelerator,
) -> Scores:
    # Not the wrapped network: processes may have different numbers of batches, and DistributedDataParallel would wait.
    outputs = infer(
        model.network,
        model.head,
        features,
        model.pad_id,
        batch_size=options.per_device_eval_batch_size,
        accelerator=accelerator,
        progress="validation",
    )
    return model.head.evaluate(outputs, rows[:])


@dataclass
class Best:
    """The first best evaluation and its weights; a tie is not better."""

    metric: str
    score: float = -math.inf
    epoch: float = 0.0
    misses: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def see(self, step: Step, scores: Scores, network: nn.Module) -> None:
        """Look at an evaluation, and copy the trainable weights if it is the best so far."""
        if not isinstance(scores.get(self.metric), float):
            known = ", ".join(name for name, value in scores.items() if isinstance(value, float))
            raise OptionError(f"--metric_for_best_model {self.metric} is not a score of this task; it has {known}.")
        score = -scores[self.metric] if _is_error(self.metric) else scores[self.metric]
        if score <= self.score:
            self.misses += 1
            return
        self.score, self.epoch, self.misses = score, step.epoch, 0
        self.weights = {n: p.detach().cpu().clone() for n, p in network.named_parameters() if p.requires_grad}

    def restore(self, network: nn.Module) -> None:
        """Put the best weights back; the score becomes the metric itself again."""
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in self.weights:
                    parameter.copy_(self.weights[name])
        self.weights = {}
        self.score = -self.score if _is_error(self.metric) else self.score


def _is_error(metric: str) -> bool:
    """Whether less of a metric is better."""
    return metric == "loss" or metric.startswith("mae")


class _Log:
    """The progress bar, the trackers, and the history of a run; silent on every process but the first."""

    def __init__(self, accelerator: Accelerator, plan: Plan, every: int) -> None:
        self.accelerator = accelerator
        self.every = every
        self.rows = 0
        self.seconds = 0.0
        self.history: list[Mapping[str, float]] = []
        self._total = plan.total_steps
        self._since = time.perf_counter()
        self._loss = torch.zeros((), device=accelerator.device)
        self._steps = 0
        # disable=None: no bar where stderr is not a terminal.
        self._bar = tqdm(
            total=plan.total_steps, desc="training", unit="step", disable=None if accelerator.is_main_process else True
        )

    def step(self, step: Step) -> None:
        self.rows += step.rows
        self._loss += step.loss
        self._steps += 1
        if step.number % self.every == 0 or step.number == self._total:
            self.flush(step)
        self._bar.update()

    def flush(self, step: Step) -> None:
        if not self._steps:
            return
        # The only place that waits for the device, and the processes for each other.
        loss = float(self.accelerator.reduce(self._loss, "sum")) / self._steps
        self._loss.zero_()
        self._steps = 0
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is no longer a number at step {step.number} (learning rate {step.learning_rate:.1e}); "
                f"try --mixed_precision no, or a smaller --learning_rate."
            )
        values = {"loss": loss, "learning_rate": step.learning_rate, "epoch": step.epoch}
        self.history.append({"step": step.number} | values)
        self.accelerator.log(values, step=step.number)
        speed = self.rows / (self.seconds + time.perf_counter() - self._since)
        self._bar.set_postfix_str(f"loss {loss:.3f}, {speed:.0f} rows/s")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside does not count as training."""
        self.seconds += time.perf_counter() - self._since
        yield
        self._since = time.perf_counter()

    def scores(self, step: Step, scores: Mapping[str, Any]) -> None:
        values = {f"validation_{k}": v for k, v in scores.items() if isinstance(v, float)}
        self.history.append({"step": step.number, "epoch": step.epoch} | values)
        self.accelerator.log(values, step=step.number)

    def close(self) -> None:
        self.seconds += time.perf_counter() - self._since
        self._bar.close()
