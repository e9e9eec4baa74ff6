"""Errors of a multi-label classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nlp_transfer.data.row_store import values
from nlp_transfer.heads import TaskHead
from nlp_transfer.run.report.confidence import brier_of_sets, calibration, coverage
from nlp_transfer.run.report.label_errors import LONGEST_TEXT, MOST_ERRORS, of_label
from nlp_transfer.run.report.report_parts import ReportPart, ScoredRows, register_report_part
from nlp_transfer.run.report.slices import by_rarest_label, by_set_size
from nlp_transfer.system.text import cut
from nlp_transfer.types import MultiLabelPrediction


def label_set_part(scored: ScoredRows) -> ReportPart:
    """The part of a report on sets of labels: scores of each label, calibration of all decisions, errors."""
    head, references = scored.head, scored.references
    rows_of_label = Counter(label for labels in values(scored.train, "label") for label in set(labels))
    trained_on = dict.fromkeys(head.labels, 0) | rows_of_label
    findings = set_findings(head, scored.predictions, references, scored.texts, trained_on)
    return ReportPart(findings, [by_set_size(references), by_rarest_label(references, trained_on)])


def set_findings(
    head: TaskHead,
    predictions: Sequence[MultiLabelPrediction],
    references: Sequence[Sequence[str]],
    texts: Sequence[str],
    trained_on: Mapping[str, int],
) -> dict[str, Any]:
    """Scores of each label, calibration of all decisions, coverage, and the most confident wrong decisions.

    A decision is one label of one row. A row is right if all its labels are.
    """
    labels = list(head.labels)
    calibrated = np.array([[p.probabilities[name] for name in labels] for p in predictions])
    predicted = np.array([[name in p.labels for name in labels] for p in predictions])
    true = np.array([[name in set(row) for name in labels] for row in references])
    scaling = head.calibration().get("scaling", {})
    raw = _unscaled(calibrated, np.array([scaling.get(name, (1.0, 0.0)) for name in labels]))

    def of(probabilities: np.ndarray) -> dict[str, Any]:
        return calibration(probabilities.ravel(), true.ravel(), brier_of_sets(probabilities, true))

    return {
        "labels": labels,
        "by_label": [
            of_label(name, int((predicted & true)[:, i].sum()), int(predicted[:, i].sum()), int(true[:, i].sum()))
            | {"train": trained_on.get(name, 0)}
            for i, name in enumerate(labels)
        ],
        "uncalibrated": of(raw),
        "calibrated": of(calibrated) if scaling else None,
        "coverage": coverage(_certainty(predicted, calibrated).min(axis=1), (predicted == true).all(axis=1)),
        "errors": _errors(labels, calibrated, predicted, true, texts),
    }


def _unscaled(probabilities: np.ndarray, scaling: np.ndarray) -> np.ndarray:
    """Probabilities of the raw logits, given those after a scaling by a and b of each label, `(labels, 2)`."""
    a, b = scaling.T
    p = np.clip(probabilities, 1e-15, 1 - 1e-15)
    logits = (np.log(p) - np.log1p(-p) - b) / a
    return 0.5 * (1 + np.tanh(0.5 * logits))


def _certainty(predicted: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The probability that each decision is right."""
    return np.where(predicted, probabilities, 1 - probabilities)


def _errors(
    labels: Sequence[str], probabilities: np.ndarray, predicted: np.ndarray, true: np.ndarray, texts: Sequence[str]
) -> list[dict[str, Any]]:
    rows, places = np.nonzero(predicted != true)
    order = np.argsort(-_certainty(predicted, probabilities)[rows, places], kind="stable")[:MOST_ERRORS]
    errors = []
    for row, place in zip(rows[order].tolist(), places[order].tolist(), strict=True):
        invented = bool(predicted[row, place])
        errors.append(
            {
                "row": row,
                "text": cut(texts[row], LONGEST_TEXT),
                "label": labels[place],
                "kind": "invented" if invented else "missed",
                "probability": float(probabilities[row, place]),
                "true": [name for name, is_true in zip(labels, true[row], strict=True) if is_true],
            }
        )
    return errors


register_report_part("label_sets", label_set_part)
