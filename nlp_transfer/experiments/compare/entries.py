"""Results of each candidate and baseline on each share of the rows, over all seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, NamedTuple

from nlp_transfer.experiments.candidates import BASELINES, Candidate
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.trial_results import predictions_file, probe_options_of, read_predictions
from nlp_transfer.experiments.trial import Trial
from nlp_transfer.heads import TaskHead
from nlp_transfer.heads.baselines import BASELINE_NAMES
from nlp_transfer.metrics import RowCounts


@dataclass(frozen=True)
class Entry:
    """A candidate, or a baseline, on a share of the training rows.

    `validation` and `scores` are the main score of each seed, on validation and on the rows that are reported, and
    `validation_counts` and `counts` what each row adds to it. `rows` is the number of training rows. `seconds` is the
    mean over seeds, and `peak_memory`, `gpu_memory` and `disk` (bytes) the maximum; None where it was not measured.
    `flags` are those with which the recipe of the task trains it.
    """

    name: str
    fraction: float
    rows: int
    is_baseline: bool
    encoder: str
    seeds: tuple[int, ...]
    validation: tuple[float, ...]
    scores: tuple[float, ...]
    validation_counts: tuple[RowCounts, ...]
    counts: tuple[RowCounts, ...]
    seconds: float
    trained_weights: int | None
    peak_memory: int | None
    gpu_memory: int | None
    disk: int | None
    flags: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The mean over seeds."""
        return mean(self.scores)

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds; None of one seed."""
        return stdev(self.scores) if len(self.scores) > 1 else None


def entries_of(
    folder: ComparisonFolder, trials: Sequence[Trial], head: TaskHead, metric: str, split: str
) -> list[Entry]:
    """Entries of the trials that `folder` has results of, in their order; `split` is the one that is reported."""
    parts: dict[tuple[str, float], list[_Part]] = {}
    for trial in trials:
        if not folder.has(trial.name):
            continue
        for model_record in folder.result(trial.name)["learned"]:
            path = folder.of(trial.name)
            counts = {
                name: head.all_counts(*read_predictions(path / predictions_file(model_record["name"], name), head))
                for name in {"validation", split}
            }
            name = BASELINE_NAMES.get(model_record["name"], model_record["name"]) or trial.candidate.name
            parts.setdefault((name, trial.fraction), []).append(_Part(trial, model_record, counts))
    return [
        _entry(name, fraction, of_entry, metric, split, _flags(of_entry[0].trial.candidate, head))
        for (name, fraction), of_entry in parts.items()
    ]


class _Part(NamedTuple):
    """The results of an entry in one trial."""

    trial: Trial
    record: dict[str, Any]
    counts: Mapping[str, RowCounts]


def _flags(candidate: Candidate, head: TaskHead) -> tuple[str, ...]:
    """The flags of the strategy, and those of the head."""
    if candidate.strategy == BASELINES:
        return ()
    of_head = [part for name, value in probe_options_of(candidate, head).items() for part in (f"--{name}", str(value))]
    return (*candidate.flags(), *of_head)


def _entry(
    name: str, fraction: float, parts: Sequence[_Part], metric: str, split: str, flags: tuple[str, ...]
) -> Entry:
    candidate = parts[0].trial.candidate
    records = [part.record for part in parts]
    return Entry(
        name=name,
        fraction=fraction,
        rows=round(mean(record["rows"] for record in records)),
        is_baseline=candidate.is_baseline,
        encoder=candidate.encoder,
        seeds=tuple(part.trial.seed for part in parts),
        validation=tuple(record["scores"]["validation"][metric] for record in records),
        scores=tuple(record["scores"][split][metric] for record in records),
        validation_counts=tuple(part.counts["validation"] for part in parts),
        counts=tuple(part.counts[split] for part in parts),
        seconds=mean(record["seconds"] for record in records),
        **{name: _largest(records, name) for name in ("trained_weights", "peak_memory", "gpu_memory", "disk")},
        flags=flags,
    )


def _largest(records: Sequence[dict[str, Any]], name: str) -> int | None:
    return max((record[name] for record in records if record[name] is not None), default=None)
