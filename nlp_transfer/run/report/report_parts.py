"""The registered parts of a report for kinds of tasks, by the names that heads declare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from nlp_transfer.errors import OptionError
from nlp_transfer.heads import TaskHead
from nlp_transfer.run.report.slices import Grouping


@dataclass(frozen=True)
class ScoredRows:
    """The scored rows of a report, with their predictions and references.

    `texts` are those of `rows`, `train` the training rows; `raw_probabilities` are those of `TaskHead`.
    """

    head: TaskHead
    predictions: Sequence[Any]
    references: Sequence[Any]
    raw_probabilities: Sequence[np.ndarray]
    texts: Sequence[str]
    rows: Dataset
    train: Dataset


class ReportTable(NamedTuple):
    """A table of the page: its heading, the names of its columns, and rows of as many numbers or texts."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class ReportPart:
    """The findings of a part, which go into report.json, groupings of rows to score, and slices scored by itself.

    The page shows `tables` as they are, so that a part from outside needs no template of its own.
    """

    findings: dict[str, Any]
    groupings: Sequence[Grouping] = ()
    slices: Sequence[dict[str, Any]] = field(default_factory=list)
    tables: Sequence[ReportTable] = ()


REPORT_PARTS: dict[str, Callable[[ScoredRows], ReportPart]] = {}


def register_report_part(name: str, part: Callable[[ScoredRows], ReportPart]) -> None:
    """Register a part under the name that heads declare in `report_parts`. Raises OptionError for a taken name."""
    if REPORT_PARTS.setdefault(name, part) is not part:
        raise OptionError(f"a report part '{name}' is registered already; choose another name.")
