"""Scores of labels, of sets of labels, of numbers and of entity spans, and how certain they are.

The functions take label names, numbers or tags and return plain Python numbers, ready for JSON. The classes give the
same scores as `evaluate.Metric`, and load `evaluate` when one of them is first used. `interval` and `difference` give
confidence intervals; `register_metric` adds a score to the heads.
"""

# ruff: noqa: F405

from typing import TYPE_CHECKING, Any

from nlp_transfer.metrics.label_scores import classification_scores, sentiment_scores
from nlp_transfer.metrics.label_set_scores import multi_label_scores
from nlp_transfer.metrics.metric_registry import (
    is_error,
    register_metric,
    with_registered_counts,
    with_registered_scores,
)
from nlp_transfer.metrics.number_scores import regression_scores
from nlp_transfer.metrics.resampling import (
    Interval,
    RowCounts,
    difference,
    interval,
    label_counts,
    number_counts,
    scores_of_draws,
    set_counts,
    span_counts,
)
from nlp_transfer.metrics.span_scores import SCHEMES, span_scores

if TYPE_CHECKING:
    from nlp_transfer.metrics.evaluate_metrics import *  # noqa: F403 (`__all__` names the classes, once)

__all__ = [
    "F1", "SCHEMES", "Accuracy", "HammingLoss", "Interval", "LabelRankingAveragePrecision", "MacroRecall",
    "MatthewsCorrelation", "MeanAbsoluteError", "MeanAbsoluteSteps", "MeanSquaredError", "MultiLabelF1",
    "PearsonCorrelation", "Precision", "QuadraticKappa", "Recall", "RowCounts", "SpanF1", "SpearmanCorrelation",
    "classification_scores", "difference", "interval", "is_error", "label_counts", "multi_label_scores",
    "number_counts", "register_metric", "regression_scores", "scores_of_draws", "sentiment_scores", "set_counts",
    "span_counts", "span_scores", "with_registered_counts", "with_registered_scores",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the classes of `evaluate` when one of them is first used, since that takes seconds (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    from nlp_transfer.metrics import evaluate_metrics

    return getattr(evaluate_metrics, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
