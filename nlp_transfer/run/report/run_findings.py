"""The findings of a report, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset

from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import MOST_BASELINE_ROWS, Report, baseline_rows_note
from nlp_transfer.metrics import RowCounts, is_error
from nlp_transfer.models.transfer_model import TransferModel

# Each of these modules registers its part of a report when it is imported.
from nlp_transfer.run.report import entity_errors, label_errors, label_set_errors, number_errors, slices  # noqa: F401
from nlp_transfer.run.report.rejection_table import rejection_tables
from nlp_transfer.run.report.report_parts import REPORT_PARTS, ReportTable, ScoredRows
from nlp_transfer.run.report.score_table import scores
from nlp_transfer.system.hardware import peak_memory

_MOST_POINTS = 300  # of a curve


def run_findings(model: TransferModel, splits: Splits, report: Report, transfer: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page of a run shows, as plain JSON values; `transfer` is the content of transfer.json.

    The rows are those of test, or of validation if there is no test split; where there is neither, nothing is scored.
    """
    head, train, rows = model.head, splits.train.data, splits.scored
    of_rows: dict[str, Any] = {"scores": [], "slices": [], "tables": []}
    if rows is not None:
        counts = head.all_counts(report.predictions, report.references)
        of_rows = {"scores": scores(head, report, counts), **_of_task(report, rows.data, train, counts)}
    return {
        "task": report.task,
        "title": head.title,
        "words": {**head.report_words, "abstains": head.no_confidence is None},
        "split": report.split,
        "rows": report.rows,
        "encoder": {**transfer["encoder"], "layers": model.encoder.depth, "width": model.encoder.width},
        "baselines_saw": baseline_rows_note(len(train)) if len(train) > MOST_BASELINE_ROWS else None,
        "label_free": dict(report.run.label_free),
        "run": _run(report, head.loss_unit),
        "cost": _cost(model, report),
        **_with_tables(of_rows, rejection_tables(model.rejection)),
        **{name: transfer[name] for name in ("data", "options", "versions")},
    }


def _with_tables(findings: dict[str, Any], tables: Sequence[ReportTable]) -> dict[str, Any]:
    return findings | {"tables": [*findings["tables"], *(table._asdict() for table in tables)]}


def _of_task(report: Report, rows: Dataset, train: Dataset, counts: RowCounts) -> dict[str, Any]:
    """The findings of the head's report parts, and the scores of slices of the rows."""
    head, texts = report.head, _texts(rows)
    sample = train if len(train) <= MOST_BASELINE_ROWS else train.select(range(MOST_BASELINE_ROWS))
    counts_in_train = slices.word_counts(_texts(sample))
    words = [slices.words_of(text) for text in texts]
    groupings = [
        slices.by_length([len(text.split()) for text in texts]),
        slices.by_rare_words(words, counts_in_train),
    ]
    scored = ScoredRows(head, report.predictions, report.references, report.raw_probabilities, texts, rows, train)
    findings: dict[str, Any] = {"tables": []}
    scored_by_parts: list[dict[str, Any]] = []
    for name in head.report_parts:
        part = REPORT_PARTS[name](scored)
        findings |= part.findings
        groupings += part.groupings
        scored_by_parts += part.slices
        findings["tables"] += [table._asdict() for table in part.tables]
    return {**findings, "slices": [*slices.scores_by_slice(groupings, counts, head.slice_metric), *scored_by_parts]}


def _texts(rows: Dataset) -> list[str]:
    """The texts of rows; of pairs both, of sentences the words."""
    if "words" in rows.column_names:
        return [" ".join(words) for words in values(rows, "words")]
    if "text_pair" in rows.column_names:
        return [f"{text} ‖ {second}" for text, second in rows_of(rows, "text", "text_pair")]
    return list(values(rows, "text"))


def _run(report: Report, unit: float) -> dict[str, Any]:
    """The best score of the run, and its curves, thinned out if they are long; `unit` scales the training loss."""
    run = report.run
    loss = [[entry["step"], entry["epoch"], entry["loss"] * unit] for entry in run.history if "loss" in entry]
    evaluations = [
        [entry["step"], entry["epoch"], entry.get("validation_loss"), entry[f"validation_{run.metric}"]]
        for entry in run.history
        if f"validation_{run.metric}" in entry
    ]
    return {
        "metric": run.metric,
        "lower_is_better": is_error(run.metric),
        "best_score": run.best_score,
        "best_epoch": run.best_epoch,
        "loss": _thinned(loss),
        "evaluations": evaluations
        if len(evaluations) <= _MOST_POINTS
        else evaluations[:: -(-len(evaluations) // _MOST_POINTS)],
    }


def _thinned(points: Sequence[Sequence[float]]) -> list[list[float]]:
    """Means of neighbouring points, so that at most `_MOST_POINTS` are left."""
    width = -(-len(points) // _MOST_POINTS) or 1
    parts = [points[at : at + width] for at in range(0, len(points), width)]
    return [[sum(column) / len(part) for column in zip(*part, strict=True)] for part in parts]


def _cost(model: TransferModel, report: Report) -> dict[str, Any]:
    run, weights = report.run, sum(p.numel() for p in model.network.parameters())
    on_gpu = torch.cuda.is_available() and torch.cuda.max_memory_allocated()
    return {
        "seconds": run.seconds,
        "rows_per_second": run.rows_per_second,
        "steps": run.steps,
        "trained_weights": run.trained_weights,
        "weights": weights,
        "peak_memory": peak_memory(),
        "peak_gpu_memory": on_gpu or None,
        "bytes": model.bytes,
    }
