"""Errors of a classifier that gives each text one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nlp_transfer.data.row_store import values
from nlp_transfer.heads import TaskHead
from nlp_transfer.metrics.calibration_error import tempered
from nlp_transfer.run.report.confidence import brier_of_labels, calibration, coverage
from nlp_transfer.run.report.report_parts import ReportPart, ScoredRows, register_report_part
from nlp_transfer.run.report.slices import by_label_frequency
from nlp_transfer.system.text import cut
from nlp_transfer.types import Prediction

MOST_ERRORS = 50
"""Errors that are listed."""

LONGEST_TEXT = 400
"""Characters of a text that are shown."""


def label_part(scored: ScoredRows) -> ReportPart:
    """The part of a report on labels: confusions, scores of each label, calibration, errors."""
    head, references = scored.head, scored.references
    has_labels = "label" in scored.train.column_names
    trained_on = dict.fromkeys(head.labels, 0) | Counter(values(scored.train, "label") if has_labels else ())
    findings = label_findings(head, scored.predictions, references, scored.texts, trained_on)
    return ReportPart(findings, [by_label_frequency(references, trained_on)] if has_labels else [])


def label_findings(
    head: TaskHead,
    predictions: Sequence[Prediction],
    references: Sequence[str],
    texts: Sequence[str],
    trained_on: Mapping[str, int],
) -> dict[str, Any]:
    """Confusions, scores of each label, calibration, coverage, and the most confident errors.

    `trained_on` is the number of training rows of each label. `confusion` lists true label, predicted label and rows.
    """
    labels = list(head.labels)
    pairs = Counter(zip(references, (p.label for p in predictions), strict=True))
    ids = [head.labels.id(label) for label in references]
    calibrated = np.array([[p.probabilities[name] for name in labels] for p in predictions])
    certainty = calibrated.max(axis=1)
    right = np.array([p.label == label for p, label in zip(predictions, references, strict=True)])
    temperature = head.calibration().get("temperature")
    raw = tempered(calibrated, 1 / temperature) if temperature else calibrated
    return {
        "labels": labels,
        "confusion": [[true, predicted, count] for (true, predicted), count in pairs.most_common()],
        "by_label": by_label(labels, pairs, trained_on),
        "temperature": temperature,
        "calibrated": calibration(certainty, right, brier_of_labels(calibrated, ids)) if temperature else None,
        "coverage": coverage(certainty, right),
        "errors": _errors(predictions, references, texts),
        "uncalibrated": calibration(raw.max(axis=1), right, brier_of_labels(raw, ids)),
    }


def by_label(
    labels: Sequence[str], pairs: Mapping[tuple[str, str], int], trained_on: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Precision, recall, F1 and rows of each label, from the rows of each true and predicted label; 0 if undefined."""
    true_rows: Counter[str] = Counter()
    predicted_rows: Counter[str] = Counter()
    for (true, predicted), count in pairs.items():
        true_rows[true] += count
        predicted_rows[predicted] += count
    return [
        of_label(name, pairs.get((name, name), 0), predicted_rows[name], true_rows[name])
        | {"train": trained_on.get(name, 0)}
        for name in labels
    ]


def of_label(name: str, right: int, predicted: int, rows: int) -> dict[str, Any]:
    """One line of the table of labels."""
    return {
        "name": name,
        "rows": rows,
        "predicted": predicted,
        "precision": right / predicted if predicted else 0.0,
        "recall": right / rows if rows else 0.0,
        "f1": 2 * right / (predicted + rows) if predicted + rows else 0.0,
    }


def _errors(predictions: Sequence[Prediction], references: Sequence[str], texts: Sequence[str]) -> list[dict[str, Any]]:
    wrong = [row for row, (p, label) in enumerate(zip(predictions, references, strict=True)) if p.label != label]
    wrong.sort(key=lambda row: -predictions[row].probability)
    return [
        {
            "row": row,
            "text": cut(texts[row], LONGEST_TEXT),
            "true": references[row],
            "said": predictions[row].label,
            "probability": predictions[row].probability,
            "of_true": predictions[row].probabilities[references[row]],
        }
        for row in wrong[:MOST_ERRORS]
    ]


register_report_part("labels", label_part)
