"""How are predictions kept, so that any score can be taken of them later?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.run.write_run import prediction_line
from nlp_transfer.types import MultiLabelPrediction, Prediction, RegressionPrediction, TagPrediction


def write_predictions(path: Path, predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """A line a row as in the predictions.jsonl of a run; of several labels all probabilities, which rank them."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        for row, (gold, predicted) in enumerate(zip(references, predictions, strict=True)):
            line = prediction_line(row, gold, predicted)
            if isinstance(predicted, MultiLabelPrediction):
                line["probabilities"] = predicted.probabilities
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_predictions(path: Path) -> tuple[list[Any], list[Any]]:
    """The predictions and references of a file, as far as scores need them."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [_prediction(line) for line in lines], [line["gold"] for line in lines]


def _prediction(line: dict[str, Any]) -> Any:
    predicted = line["predicted"]
    if "words" in line:
        return TagPrediction(tuple(line["words"]), tuple(predicted), (), ())
    if "probabilities" in line:
        return MultiLabelPrediction(tuple(predicted), line["probabilities"])
    if "probability" not in line:
        return RegressionPrediction(predicted)
    return Prediction(predicted, line["probability"], {})
