"""Options of a run: dataclasses, named as the transformers examples name them."""

from nlp_transfer.config.experiment_options import CheckOptions, CompareOptions, SelectionOptions, TuningOptions
from nlp_transfer.config.head_options import ClassificationOptions, NEROptions, SentimentOptions
from nlp_transfer.config.input_options import DataOptions, ModelOptions
from nlp_transfer.config.option_fields import PRECISIONS, PROBLEMS, Range, option
from nlp_transfer.config.output_options import CHECKPOINTS, CacheOptions, OutputOptions, ReportOptions
from nlp_transfer.config.prediction_options import PredictionOptions
from nlp_transfer.config.scoring_options import ScoringOptions
from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.config.training_options import TrainingOptions

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
    "Range",
    "ReportOptions",
    "ScoringOptions",
    "SelectionOptions",
    "SentimentOptions",
    "ServingOptions",
    "TrainingOptions",
    "TuningOptions",
    "option",
]
