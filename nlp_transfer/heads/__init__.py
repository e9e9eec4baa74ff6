"""The tasks: what stands on an encoder, and what its outputs mean."""

from nlp_transfer.heads.base import TaskHead
from nlp_transfer.heads.classification import TextClassificationHead
from nlp_transfer.heads.ner import NERHead
from nlp_transfer.heads.sentiment import SentimentHead

HEADS: dict[str, type[TaskHead]] = {head.task: head for head in (TextClassificationHead, SentimentHead, NERHead)}
"""Task name -> head; a saved model names its task."""

__all__ = ["HEADS", "NERHead", "SentimentHead", "TaskHead", "TextClassificationHead"]
