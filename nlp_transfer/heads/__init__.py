"""The tasks: what stands on an encoder, and what its outputs mean."""

from typing import Any

from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.splits import Splits
from nlp_transfer.heads.classification import TextClassificationHead
from nlp_transfer.heads.multilabel import MultiLabelHead
from nlp_transfer.heads.ner import NERHead
from nlp_transfer.heads.regression import RegressionHead
from nlp_transfer.heads.sentiment import SentimentHead
from nlp_transfer.heads.task_head import TaskHead
from nlp_transfer.heads.text_head import TextHead

HEADS: dict[str, type[TaskHead]] = {
    head.task: head for head in (TextClassificationHead, MultiLabelHead, RegressionHead, SentimentHead, NERHead)
}
"""Task name -> head; a saved model names its task."""

_OF_PROBLEM: dict[str, type[TextHead]] = {
    "single_label": TextClassificationHead,
    "multi_label": MultiLabelHead,
    "regression": RegressionHead,
}


def text_head_for(splits: Splits, **options: Any) -> TextHead:
    """The head for what the labels of `splits` are: one of several, several at once, or a number.

    Raises OptionError for `options` that such a head does not have.

    >>> head = text_head_for(load_splits(DataOptions(train_file="mails.jsonl"), "classification"), pooling="mean")
    """
    return _OF_PROBLEM[problem_of(splits.train.data)].for_splits(splits, **options)


__all__ = [
    "HEADS",
    "MultiLabelHead",
    "NERHead",
    "RegressionHead",
    "SentimentHead",
    "TaskHead",
    "TextClassificationHead",
    "TextHead",
    "text_head_for",
]
