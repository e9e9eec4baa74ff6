"""The check that every row has a prediction and a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """ValueError unless there are rows, and each has a prediction."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions but {len(references)} references: a row needs one of each")
    if not len(references):
        raise ValueError("there are no rows to score")
