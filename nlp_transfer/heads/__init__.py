"""Task heads: the layers on an encoder, their targets, predictions and scores."""

from nlp_transfer.heads.classification import TextClassificationHead
from nlp_transfer.heads.multilabel import MultiLabelHead
from nlp_transfer.heads.ner import NERHead
from nlp_transfer.heads.registry import HEADS, head_named, register_head, text_head_for
from nlp_transfer.heads.regression import RegressionHead
from nlp_transfer.heads.sentiment import SentimentHead
from nlp_transfer.heads.task_head import TaskHead
from nlp_transfer.heads.text_head import TextHead

__all__ = [
    "HEADS",
    "MultiLabelHead",
    "NERHead",
    "RegressionHead",
    "SentimentHead",
    "TaskHead",
    "TextClassificationHead",
    "TextHead",
    "head_named",
    "register_head",
    "text_head_for",
]
