"""What is a metric that needs no network and leaves no files?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features


class LocalMetric(evaluate.Metric):
    """An `evaluate.Metric` that keeps its rows in memory and leaves nothing in Hugging Face's cache.

    With `num_process` above 1 it works through files there, as `evaluate` does.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("keep_in_memory", options.get("num_process", 1) == 1)
        super().__init__(**options)

    def _build_data_dir(self) -> str:
        return str(self._data_dir_root) if self.keep_in_memory else super()._build_data_dir()

    _inputs: str
    _kinds: Sequence[Any]

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description=self._inputs,
            features=self._features(),
        )

    def _features(self) -> list[Features]:
        """What the rows of predictions and references may be."""
        return [Features(predictions=kind, references=kind) for kind in self._kinds]


def check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """ValueError unless there are rows, and each has a prediction."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions but {len(references)} references: a row needs one of each")
    if not len(references):
        raise ValueError("there are no rows to score")
