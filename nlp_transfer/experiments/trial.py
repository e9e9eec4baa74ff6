"""What does one training of a candidate come to, and what did it cost?"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nlp_transfer.config import CacheOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.fractions import nested_share
from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import baseline_predictions, outputs_on
from nlp_transfer.experiments.compare.candidates import BASELINES, Candidate
from nlp_transfer.experiments.compare.heads_on_shares import options_on
from nlp_transfer.experiments.compare.shared_rows import SharedRows
from nlp_transfer.heads import TaskHead, TextHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.freeze import Freeze
from nlp_transfer.system.machine import peak_memory
from nlp_transfer.training.loop import fit, make_accelerator, set_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """A candidate, trained on a share of the training rows with a seed."""

    candidate: Candidate
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """That of its folder."""
        return f"{self.candidate.key}-{self.fraction:g}-seed{self.seed}"


@dataclass(frozen=True)
class Job:
    """What the trials of a comparison have in common; `metric` chooses the best weights."""

    rows: SharedRows
    head: TaskHead
    model: ModelOptions
    training: TrainingOptions
    cache: CacheOptions
    metric: str


@dataclass(frozen=True)
class Learned:
    """What learned from `rows` training rows, and what it says of rows it did not learn from.

    `name` is that of a baseline, or empty. `predictions` are those of each split, by name. `seconds` are those of the
    training alone, with the pass over frozen layers, whichever training made it; `peak_memory` (bytes) is that of the
    process, `gpu_memory` that of the GPU, and `disk` the bytes of the folder that saving wrote: None where there is
    nothing to tell.
    """

    name: str
    rows: int
    predictions: Mapping[str, Sequence[Any]]
    seconds: float
    peak_memory: int | None = None
    trained_weights: int | None = None
    gpu_memory: int | None = None
    disk: int | None = None
    best_epoch: float | None = None


def learn(trial: Trial, job: Job) -> tuple[list[Learned], Splits]:
    """Train a trial and let it predict validation rows and, once, test rows; with the rows that it was given.

    A trial of the baselines gives each of them. The saved model is measured, and not kept.
    """
    everything = job.rows.open()
    splits = replace(everything, train=nested_share(everything.train, trial.fraction, trial.seed))
    if trial.candidate.strategy == BASELINES:
        return _baselines(job.head, splits, trial.seed), splits
    return [_network(trial, job, splits, options_on(job.head, everything.train, splits.train))], splits


def _network(trial: Trial, job: Job, splits: Splits, shape: Mapping[str, Any]) -> Learned:
    candidate, told = trial.candidate, job.model
    strategy = candidate.make()
    options = replace(job.training, seed=trial.seed, metric_for_best_model=job.metric)
    accelerator = make_accelerator(options)
    set_seed(trial.seed)
    head_options = {**shape, **pooling_of(candidate, job.head)}
    model = TransferModel.load(
        candidate.encoder,
        type(job.head)(**head_options),
        max_length=told.max_length,
        revision=told.model_revision,
        trust_remote_code=told.trust_remote_code,
        keep_head=told.keep_head,
    )
    run = fit(model, splits, options, accelerator, strategy, job.cache)
    predictions = {
        name: model.head.decode(
            outputs_on(rows, model, accelerator, options.per_device_eval_batch_size, job.cache, name), rows.data[:]
        )
        for name, rows in (("validation", splits.validation), ("test", splits.test))
        if rows is not None
    }
    return Learned(
        name="",
        rows=len(splits.train.data),
        predictions=predictions,
        seconds=run.seconds + run.seconds_spared,
        peak_memory=peak_memory(),
        trained_weights=run.trained_weights,
        gpu_memory=torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None,
        disk=_saved_bytes(model),
        best_epoch=run.best_epoch,
    )


def pooling_of(candidate: Candidate, head: TaskHead) -> dict[str, str]:
    """The head's option that a linear probe has besides: the mean of all tokens, unless the user chose what it reads.

    The pooler that a native head stands on was pretrained for another end, or not at all (`Freeze`).
    """
    strategy = candidate.make()
    is_probe = isinstance(strategy, Freeze) and not strategy.trainable_layers
    return {"pooling": "mean"} if is_probe and isinstance(head, TextHead) and head.is_native else {}


def _saved_bytes(model: TransferModel) -> int:
    with tempfile.TemporaryDirectory(prefix="nlp_transfer-") as folder:
        model.save(folder)
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def _baselines(head: TaskHead, splits: Splits, seed: int) -> list[Learned]:
    parts = {name: rows for name in ("validation", "test") if (rows := getattr(splits, name)) is not None}
    began = time.perf_counter()
    found = baseline_predictions(head, splits.train.data, [rows.data for rows in parts.values()], seed)
    seconds = time.perf_counter() - began
    return [
        Learned(name, len(splits.train.data), dict(zip(parts, of_parts, strict=True)), seconds, peak_memory())
        for name, of_parts in found.items()
    ]
