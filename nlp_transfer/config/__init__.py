"""Options of a run: dataclasses, named as the transformers examples name them."""

from nlp_transfer.config.experiment_options import CheckOptions, CompareOptions, SelectionOptions, TuningOptions
from nlp_transfer.config.export_options import FORMS, ExportOptions
from nlp_transfer.config.head_options import ClassificationOptions, NEROptions, SentimentOptions
from nlp_transfer.config.input_options import DataOptions, ModelOptions
from nlp_transfer.config.labelling_options import BATCH_FORMATS, LabellingOptions
from nlp_transfer.config.option_fields import PRECISIONS, PROBLEMS, Range, option
from nlp_transfer.config.output_options import CHECKPOINTS, CacheOptions, OutputOptions, ReportOptions
from nlp_transfer.config.prediction_options import PredictionOptions
from nlp_transfer.config.rejection_options import RejectionOptions
from nlp_transfer.config.scoring_options import ScoringOptions
from nlp_transfer.config.serving_options import ServingOptions
from nlp_transfer.config.training_options import TrainingOptions
from nlp_transfer.config.zero_shot_options import ZeroShotOptions

__all__ = [
    "BATCH_FORMATS",
    "CHECKPOINTS",
    "FORMS",
    "PRECISIONS",
    "PROBLEMS",
    "CacheOptions",
    "CheckOptions",
    "ClassificationOptions",
    "CompareOptions",
    "DataOptions",
    "ExportOptions",
    "LabellingOptions",
    "ModelOptions",
    "NEROptions",
    "OutputOptions",
    "PredictionOptions",
    "Range",
    "RejectionOptions",
    "ReportOptions",
    "ScoringOptions",
    "SelectionOptions",
    "SentimentOptions",
    "ServingOptions",
    "TrainingOptions",
    "TuningOptions",
    "ZeroShotOptions",
    "option",
]
