"""Results of a trial in its folder: predictions, from which any score can be computed, and scores and costs."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.evaluation.evaluate_run import baseline_predictions
from nlp_transfer.experiments.candidates import BASELINES, Candidate
from nlp_transfer.experiments.compare.comparison_folder import RESULT
from nlp_transfer.experiments.compare.shared_rows import SharedRows
from nlp_transfer.experiments.trial import Trial, TrialSetup
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.system.atomic_files import write_atomically
from nlp_transfer.system.hardware import peak_memory
from nlp_transfer.training.checkpointing.fingerprint import versions


@dataclass(frozen=True)
class Job:
    """What the trials of a comparison have in common: their setup, and the rows, which lie on disk."""

    setup: TrialSetup
    rows: SharedRows


@dataclass(frozen=True)
class Learned:
    """What learned from `rows` training rows, its predictions, and its costs.

    `name` is that of a baseline, or empty. `predictions` are those of each split, by name. `seconds` are those of the
    training alone, with the pass over frozen layers, whichever training made it; `peak_memory` (bytes) is that of the
    process, `gpu_memory` that of the GPU, and `disk` the bytes of the folder that saving wrote: None where there is
    none.
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


def run_trial(trial: Trial, job: Job, folder: Path) -> None:
    """Train and score a trial; write its predictions, a line a row, and its scores and costs to result.json.

    The saved model is measured and not kept. A trial of the baselines gives each of them.
    """
    began, busy = time.perf_counter(), time.process_time()
    splits = job.rows.open()
    is_of_baselines = trial.candidate.strategy == BASELINES
    learned = _baselines(trial, job.setup, splits) if is_of_baselines else [_network(trial, job.setup, splits)]
    result = {
        "candidate": trial.candidate.name,
        "fraction": trial.fraction,
        "seed": trial.seed,
        "learned": [_write_predictions_of(part, job.setup.head, splits, folder) for part in learned],
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - busy,
        "versions": versions(),
    }
    write_atomically(folder / RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")  # last, of all files


def _network(trial: Trial, setup: TrialSetup, splits: Splits) -> Learned:
    probe_options = probe_options_of(trial.candidate, setup.head)
    head = type(setup.head)(**setup.head.options() | probe_options)
    trained = trial.train(splits, replace(setup, head=head))
    return Learned(
        name="",
        rows=len(trained.splits.train.data),
        predictions=trained.predictions(),
        seconds=trained.result.seconds + trained.result.seconds_spared,
        peak_memory=peak_memory(),
        trained_weights=trained.result.trained_weights,
        gpu_memory=torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None,
        disk=_saved_bytes(trained.model),
        best_epoch=trained.result.best_epoch,
    )


def probe_options_of(candidate: Candidate, head: TaskHead) -> dict[str, Any]:
    """The options of the head that suit the candidate better where it is a linear probe; else none."""
    return head.probe_options(Checkpoint.find(candidate.encoder)) if candidate.make().is_probe else {}


def _saved_bytes(model: TransferModel) -> int:
    with tempfile.TemporaryDirectory(prefix="nlp_transfer-") as folder:
        model.save(folder)
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def _baselines(trial: Trial, setup: TrialSetup, splits: Splits) -> list[Learned]:
    train = trial.share_of(splits).train.data
    scored = {name: rows.data for name in ("validation", "test") if (rows := getattr(splits, name)) is not None}
    began = time.perf_counter()
    predictions = baseline_predictions(setup.head, train, list(scored.values()), trial.seed)
    seconds = time.perf_counter() - began
    return [
        Learned(name, len(train), dict(zip(scored, of_splits, strict=True)), seconds, peak_memory())
        for name, of_splits in predictions.items()
    ]


def _write_predictions_of(learned: Learned, head: TaskHead, splits: Splits, folder: Path) -> dict[str, Any]:
    """The part of result.json of what learned, once its predictions are written."""
    scores = {}
    for split, predictions in learned.predictions.items():
        references = head.references(getattr(splits, split).data[:])
        scores[split] = {k: v for k, v in head.all_scores(predictions, references).items() if isinstance(v, float)}
        write_predictions(folder / predictions_file(learned.name, split), head, predictions, references)
    costs = {name: value for name, value in vars(learned).items() if name != "predictions"}
    return {**costs, "scores": scores}


def predictions_file(name: str, split: str) -> str:
    """The file of the predictions for a split; `name` is that of `Learned`."""
    return f"{name}.{split}.jsonl" if name else f"{split}.jsonl"


def write_predictions(path: Path, head: TaskHead, predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """A line a row as in the predictions.jsonl of a run, with all that scores need."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        for row, (gold, predicted) in enumerate(zip(references, predictions, strict=True)):
            file.write(json.dumps(head.scoring_record(row, gold, predicted), ensure_ascii=False) + "\n")


def read_predictions(path: Path, head: TaskHead) -> tuple[list[Any], list[Any]]:
    """The predictions and references of a file, as far as scores need them."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [head.prediction.from_record(line) for line in lines], [line["gold"] for line in lines]
