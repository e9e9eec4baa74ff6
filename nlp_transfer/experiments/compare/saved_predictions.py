"""Predictions of a trial on disk, from which any score can be taken later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.heads import TaskHead


def write_predictions(path: Path, head: TaskHead, predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """Write a line for each row, as in the predictions.jsonl of a run, with what else scores need."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        for row, (gold, predicted) in enumerate(zip(references, predictions, strict=True)):
            file.write(json.dumps(head.scoring_record(row, gold, predicted), ensure_ascii=False) + "\n")


def read_predictions(path: Path, head: TaskHead) -> tuple[list[Any], list[Any]]:
    """The predictions and references of a file, as far as scores need them."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [head.prediction.from_record(line) for line in lines], [line["gold"] for line in lines]
