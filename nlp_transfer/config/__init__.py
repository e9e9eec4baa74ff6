"""Which options does a run have? Dataclasses, named as the transformers examples name them."""

from nlp_transfer.config.folders import CHECKPOINTS, CacheOptions, OutputOptions, ReportOptions
from nlp_transfer.config.looking import CheckOptions, CompareOptions, SelectionOptions, TuningOptions
from nlp_transfer.config.predicting import PredictionOptions
from nlp_transfer.config.sources import DataOptions, ModelOptions
from nlp_transfer.config.tasks import ClassificationOptions, NEROptions, SentimentOptions
from nlp_transfer.config.training import StrategyOptions, TrainingOptions
from nlp_transfer.config.values import PRECISIONS, PROBLEMS

__all__ = [
    "CHECKPOINTS",
    "PRECISIONS",
    "PROBLEMS",
    "CacheOptions",
    "CheckOptions",
    "ClassificationOptions",
    "CompareOptions",
    "DataOptions",
    "ModelOptions",
    "NEROptions",
    "OutputOptions",
    "PredictionOptions",
    "ReportOptions",
    "SelectionOptions",
    "SentimentOptions",
    "StrategyOptions",
    "TrainingOptions",
    "TuningOptions",
]
