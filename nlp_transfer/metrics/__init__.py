"""How good are the predictions? Scores of labels, of sets of labels, of numbers, and of entity spans.

The functions take label names, numbers or tags and return plain Python numbers, ready for JSON. The classes give the
same scores as `evaluate.Metric`; they live here because `evaluate.load` fetches code over the network and fails without
it. `interval` and `difference` tell how sure they are.
"""

from nlp_transfer.metrics.label_scores import (
    F1,
    Accuracy,
    MacroRecall,
    MatthewsCorrelation,
    MeanAbsoluteSteps,
    Precision,
    QuadraticKappa,
    Recall,
    classification_scores,
    sentiment_scores,
)
from nlp_transfer.metrics.label_set_scores import (
    HammingLoss,
    LabelRankingAveragePrecision,
    MultiLabelF1,
    multi_label_scores,
)
from nlp_transfer.metrics.number_scores import (
    MeanAbsoluteError,
    MeanSquaredError,
    PearsonCorrelation,
    SpearmanCorrelation,
    regression_scores,
)
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
from nlp_transfer.metrics.span_scores import SCHEMES, SpanF1, span_scores

__all__ = [
    "F1", "SCHEMES", "Accuracy", "HammingLoss", "Interval", "LabelRankingAveragePrecision", "MacroRecall",
    "MatthewsCorrelation", "MeanAbsoluteError", "MeanAbsoluteSteps", "MeanSquaredError", "MultiLabelF1",
    "PearsonCorrelation", "Precision", "QuadraticKappa", "Recall", "RowCounts", "SpanF1", "SpearmanCorrelation",
    "classification_scores", "difference", "interval", "label_counts", "multi_label_scores", "number_counts",
    "regression_scores", "scores_of_draws", "sentiment_scores", "set_counts", "span_counts", "span_scores",
]  # fmt: skip
