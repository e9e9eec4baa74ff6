"""Errors of a model that gives each text a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlp_transfer.run.report.label_errors import LONGEST_TEXT, MOST_ERRORS
from nlp_transfer.run.report.report_parts import ReportPart, ScoredRows, register_report_part
from nlp_transfer.run.report.slices import by_number
from nlp_transfer.system.text import cut
from nlp_transfer.types import RegressionPrediction

_POINTS = 1000  # of more, single points cannot be told apart
_BARS = 24


def number_part(scored: ScoredRows) -> ReportPart:
    """The part of a report on numbers: predicted over true ones, and the largest residuals."""
    name, references = scored.head.labels.names[0], scored.references
    findings = number_findings(name, scored.predictions, references, scored.texts)
    return ReportPart(findings, [by_number(references)])


def number_findings(
    name: str, predictions: Sequence[RegressionPrediction], references: Sequence[float], texts: Sequence[str]
) -> dict[str, Any]:
    """Predicted over true numbers (a sample if there are many), a histogram of the residuals, and the largest of them.

    A residual is the predicted number less the true one.
    """
    predicted, true = np.array([p.value for p in predictions]), np.array(references, dtype=np.float64)
    residuals = predicted - true
    sample = np.arange(len(true))
    if len(sample) > _POINTS:
        sample = np.sort(np.random.default_rng(0).choice(sample, _POINTS, replace=False))
    heights, edges = np.histogram(residuals, _BARS)
    worst = np.argsort(-np.abs(residuals), kind="stable")[:MOST_ERRORS].tolist()
    return {
        "number": name,
        "points": [[float(true[i]), float(predicted[i])] for i in sample],
        "residuals": {
            "mean": float(residuals.mean()),
            "deviation": float(residuals.std()),
            "edges": edges.tolist(),
            "rows": heights.tolist(),
        },
        "errors": [
            {"row": i, "text": cut(texts[i], LONGEST_TEXT), "true": float(true[i]), "said": float(predicted[i])}
            for i in worst
        ],
    }


register_report_part("numbers", number_part)
