"""The parts of a report that belong to a kind of task, by the names that heads declare them by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset

from nlp_transfer.errors import OptionError
from nlp_transfer.heads import TaskHead
from nlp_transfer.run.report.slices import Grouping


@dataclass(frozen=True)
class ScoredRows:
    """The rows that a report is of, with what the model gave them.

    `texts` are those of `rows`, `train` the training rows; `raw_probabilities` are as `TaskHead` gives them.
    """

    head: TaskHead
    predictions: Sequence[Any]
    references: Sequence[Any]
    raw_probabilities: Sequence[np.ndarray]
    texts: Sequence[str]
    rows: Dataset
    train: Dataset


@dataclass(frozen=True)
class ReportPart:
    """What a part adds to report.json, ways to slice the rows, and slices that it has scored itself."""

    findings: dict[str, Any]
    groupings: Sequence[Grouping] = ()
    slices: Sequence[dict[str, Any]] = field(default_factory=list)


REPORT_PARTS: dict[str, Callable[[ScoredRows], ReportPart]] = {}


def register_report_part(name: str, part: Callable[[ScoredRows], ReportPart]) -> None:
    """Make a part known by the name that heads declare in `report_parts`. Raises OptionError where it is taken."""
    if REPORT_PARTS.setdefault(name, part) is not part:
        raise OptionError(f"there is a report part '{name}' already; name the new one otherwise.")
