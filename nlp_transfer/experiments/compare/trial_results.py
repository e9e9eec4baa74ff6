"""What does a trial leave in its folder?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from nlp_transfer.data.splits import Splits
from nlp_transfer.experiments.compare.comparison_folder import RESULT
from nlp_transfer.experiments.compare.saved_predictions import write_predictions
from nlp_transfer.experiments.trial import Job, Learned, Trial, learn
from nlp_transfer.heads import TaskHead
from nlp_transfer.system.atomic_files import write_whole
from nlp_transfer.training.checkpointing.fingerprint import versions


def do(trial: Trial, job: Job, folder: Path) -> None:
    """Train and score a trial; leave its predictions, a line a row, and its scores and costs in result.json."""
    began, busy = time.perf_counter(), time.process_time()
    learned, splits = learn(trial, job)
    told = [_told(part, job.head, splits, folder) for part in learned]
    result = {
        "candidate": trial.candidate.name,
        "fraction": trial.fraction,
        "seed": trial.seed,
        "learned": told,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - busy,
        "versions": versions(),
    }
    write_whole(folder / RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")  # last, of all files


def _told(learned: Learned, head: TaskHead, splits: Splits, folder: Path) -> dict[str, Any]:
    scores = {}
    for split, predictions in learned.predictions.items():
        rows = getattr(splits, split)
        references = head.references(rows.data[:])
        scores[split] = {k: v for k, v in head.score(predictions, references).items() if isinstance(v, float)}
        write_predictions(folder / predictions_file(learned.name, split), predictions, references)
    costs = {name: value for name, value in vars(learned).items() if name != "predictions"}
    return {**costs, "scores": scores}


def predictions_file(name: str, split: str) -> str:
    """The file with the predictions of what learned, named as `Learned` says, for a split."""
    return f"{name}.{split}.jsonl" if name else f"{split}.jsonl"
