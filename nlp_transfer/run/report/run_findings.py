"""What is to be said of a run?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset

from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.tag_schemes import spans
from nlp_transfer.evaluation.evaluate_run import MOST_BASELINE_ROWS, Report, baselines_saw
from nlp_transfer.heads import MultiLabelHead, NERHead, RegressionHead, TextClassificationHead
from nlp_transfer.metrics import RowCounts, is_error
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.report import slices
from nlp_transfer.run.report.entity_errors import entity_findings, matched
from nlp_transfer.run.report.label_errors import label_findings
from nlp_transfer.run.report.label_set_errors import set_findings
from nlp_transfer.run.report.number_errors import number_findings
from nlp_transfer.run.report.score_table import scores
from nlp_transfer.system.machine import peak_memory

_MOST_POINTS = 300  # of a curve


def run_findings(model: TransferModel, splits: Splits, report: Report, transfer: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page of a run shows, as plain JSON values; `transfer` is what transfer.json holds.

    It is of test, or of validation where there is no test split.
    """
    rows = splits.test or splits.validation
    assert rows is not None, "load_splits leaves one of them"
    head, train = model.head, splits.train.data
    counts = head.counts(report.predictions, report.references)
    return {
        "task": report.task,
        "split": report.split,
        "rows": report.rows,
        "encoder": {**transfer["encoder"], "layers": model.encoder.depth, "width": model.encoder.width},
        "scores": scores(head, report, counts),
        "baselines_saw": baselines_saw(len(train)) if len(train) > MOST_BASELINE_ROWS else None,
        "run": _run(report, head.deviation**2 if isinstance(head, RegressionHead) else 1.0),
        "cost": _cost(model, report),
        **_of_task(model, report, rows.data, train, counts),
        **{name: transfer[name] for name in ("data", "options", "versions")},
    }


def _of_task(model: TransferModel, report: Report, rows: Dataset, train: Dataset, counts: RowCounts) -> dict[str, Any]:
    head, texts = model.head, _texts(rows)
    some = train if len(train) <= MOST_BASELINE_ROWS else train.select(range(MOST_BASELINE_ROWS))
    known = slices.word_counts(_texts(some))
    words = [slices.words_of(text) for text in texts]
    groupings = [slices.by_length([len(text.split()) for text in texts]), slices.by_rare_words(words, known)]
    if isinstance(head, NERHead):
        entities = _entities(train, head.scheme)
        types = Counter(kind for kind, _ in entities.elements())
        found = entity_findings(head, report.predictions, report.references, types, report.before)
        seen = _recall_of_seen(head, report, rows, entities)
        kinds = [[kind for kind, *_ in spans(tags, head.scheme)] for tags in report.references]
        groupings.append(slices.by_rarest_type(kinds, types))
        parts = slices.sliced(groupings, counts, "f1_strict")
        return {**found, "slices": [*parts, seen] if seen else parts}
    if isinstance(head, RegressionHead):
        found = number_findings(head.labels.names[0], report.predictions, report.references, texts)
        groupings.append(slices.by_number(report.references))
        return {**found, "slices": slices.sliced(groupings, counts, "mae")}
    if isinstance(head, MultiLabelHead):
        rows_of_label = dict.fromkeys(head.labels, 0) | Counter(
            label for labels in values(train, "label") for label in set(labels)
        )
        found = set_findings(head, report.predictions, report.references, texts, rows_of_label)
        groupings += [
            slices.by_set_size(report.references),
            slices.by_rarest_label(report.references, rows_of_label),
        ]
        return {**found, "slices": slices.sliced(groupings, counts, "micro_f1")}
    assert isinstance(head, TextClassificationHead)
    rows_of_label = dict.fromkeys(head.labels, 0) | Counter(values(train, "label"))
    found = label_findings(head, report.predictions, report.references, texts, rows_of_label)
    groupings.append(slices.by_label_frequency(report.references, rows_of_label))
    return {**found, "slices": slices.sliced(groupings, counts, "accuracy")}


def _texts(rows: Dataset) -> list[str]:
    """The texts of rows; of pairs both, of sentences the words."""
    if "words" in rows.column_names:
        return [" ".join(words) for words in values(rows, "words")]
    if "text_pair" in rows.column_names:
        return [f"{text} ‖ {second}" for text, second in rows_of(rows, "text", "text_pair")]
    return list(values(rows, "text"))


def _entities(train: Dataset, scheme: str) -> Counter[tuple[str, str]]:
    """The entities of the training rows, as type and words."""
    found: Counter[tuple[str, str]] = Counter()
    for words, tags in rows_of(train, "words", "tags"):
        found.update((kind, " ".join(words[start:end])) for kind, start, end in spans(tags, scheme))
    return found


def _recall_of_seen(
    head: NERHead, report: Report, rows: Dataset, entities: Counter[tuple[str, str]]
) -> dict[str, Any] | None:
    """What share is found of the entities that the training rows hold too, of another type, or not at all."""
    forms = {form for _, form in entities}
    found: list[list[bool]] = [[], [], []]
    for words, tags, p in zip(values(rows, "words"), report.references, report.predictions, strict=True):
        for match in matched(spans(tags, head.scheme), spans(p.tags, head.scheme)):
            if match.true:
                kind, start, end = match.true
                form = " ".join(words[start:end])
                place = 0 if (kind, form) in entities else 1 if form in forms else 2
                found[place].append(match.kind == "right")
    names = ["in train with this type", "in train with another type only", "not in train"]
    return slices.recalled("true entities", names, found)


def _run(report: Report, unit: float) -> dict[str, Any]:
    """What the run came to, and its curves, thinned out where they are long; training's loss is in a `unit`."""
    run = report.run
    loss = [[entry["step"], entry["epoch"], entry["loss"] * unit] for entry in run.history if "loss" in entry]
    judged = [entry for entry in run.history if f"validation_{run.metric}" in entry]
    evaluations = [
        [entry["step"], entry["epoch"], entry.get("validation_loss"), entry[f"validation_{run.metric}"]]
        for entry in judged
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
    """Means of neighbours, so that few enough points are left."""
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
