"""Transfer learning on text: an encoder, a task head, a strategy, and whether the transfer paid.

Names are resolved when they are first used, so that importing the package loads no torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nlp_transfer.registration import register_when_transformers_loads
from nlp_transfer.version import __version__

# Read when the libraries below are first imported. What a user has set stays.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault(
    "HF_UPDATE_DOWNLOAD_COUNTS", "0"
)  # datasets would tell the hub of each loading, of local files too
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # transformers would ask a server of its own to convert

if TYPE_CHECKING:
    from nlp_transfer import strategies
    from nlp_transfer.artifacts import write_run
    from nlp_transfer.checks.findings import Finding
    from nlp_transfer.checks.full import DataReport, check_data
    from nlp_transfer.checks.packages import require_packages
    from nlp_transfer.checks.quick import check_quickly, refuse_leaks
    from nlp_transfer.checks.source import read_for_checks, task_of
    from nlp_transfer.checks.table import report_table
    from nlp_transfer.checks.tokens import tokenizer_of
    from nlp_transfer.checks.writing import write_report
    from nlp_transfer.choosing import Choice, choose_strategy, settled
    from nlp_transfer.comparing.candidates import candidates_from
    from nlp_transfer.comparing.comparison import compare
    from nlp_transfer.comparing.folder import ComparisonFolder
    from nlp_transfer.comparing.result import Comparison
    from nlp_transfer.comparing.table import comparison_table
    from nlp_transfer.comparing.tasks import read_task
    from nlp_transfer.comparing.writing import write_comparison
    from nlp_transfer.config import (
        CacheOptions,
        CheckOptions,
        ClassificationOptions,
        CompareOptions,
        DataOptions,
        ModelOptions,
        NEROptions,
        OutputOptions,
        PredictionOptions,
        ReportOptions,
        SelectionOptions,
        SentimentOptions,
        StrategyOptions,
        TrainingOptions,
        TuningOptions,
    )
    from nlp_transfer.data.load import load_splits, require_files, splits_from
    from nlp_transfer.data.read import Rows
    from nlp_transfer.data.splits import Splits
    from nlp_transfer.encoder import Encoder
    from nlp_transfer.errors import DataError, Interrupted, ModelError, OptionError, RunFinished, UserError
    from nlp_transfer.heads import (
        MultiLabelHead,
        NERHead,
        RegressionHead,
        SentimentHead,
        TaskHead,
        TextClassificationHead,
        TextHead,
        text_head_for,
    )
    from nlp_transfer.heads.sentiment import cut_into_levels
    from nlp_transfer.model import TransferModel
    from nlp_transfer.output import RunFolder
    from nlp_transfer.parsing import parse
    from nlp_transfer.prediction import predict_file
    from nlp_transfer.recipe import run_recipe
    from nlp_transfer.report import evaluate_run
    from nlp_transfer.reporting.again import draw_reports
    from nlp_transfer.selection.encoders import Selection, select_encoders
    from nlp_transfer.selection.table import selection_table, write_selection
    from nlp_transfer.strategies import Strategy, strategy_from, strategy_named
    from nlp_transfer.training import fit, make_accelerator, set_seed
    from nlp_transfer.tuning.tuning import require_optuna, rows_to_tune_on, tune
    from nlp_transfer.types import (
        LabelSet,
        MultiLabelPrediction,
        Prediction,
        RegressionPrediction,
        RunResult,
        SentimentPrediction,
        Span,
        TagPrediction,
    )
    from nlp_transfer.updates import steps
    from nlp_transfer.verification import verify_run

_HOMES = {
    "artifacts": ("write_run",),
    "checks.findings": ("Finding",),
    "checks.full": ("DataReport", "check_data"),
    "checks.packages": ("require_packages",),
    "checks.quick": ("check_quickly", "refuse_leaks"),
    "checks.source": ("read_for_checks", "task_of"),
    "checks.table": ("report_table",),
    "checks.tokens": ("tokenizer_of",),
    "checks.writing": ("write_report",),
    "comparing.candidates": ("candidates_from",),
    "comparing.comparison": ("compare",),
    "comparing.folder": ("ComparisonFolder",),
    "comparing.result": ("Comparison",),
    "comparing.table": ("comparison_table",),
    "comparing.tasks": ("read_task",),
    "comparing.writing": ("write_comparison",),
    "choosing": ("Choice", "choose_strategy", "settled"),
    "config": (
        "CacheOptions", "CheckOptions", "ClassificationOptions", "CompareOptions", "DataOptions", "ModelOptions",
        "NEROptions", "OutputOptions", "PredictionOptions", "ReportOptions", "SelectionOptions", "SentimentOptions",
        "StrategyOptions", "TrainingOptions", "TuningOptions",
    ),
    "data.load": ("load_splits", "require_files", "splits_from"),
    "data.read": ("Rows",),
    "data.splits": ("Splits",),
    "encoder": ("Encoder",),
    "errors": ("DataError", "Interrupted", "ModelError", "OptionError", "RunFinished", "UserError"),
    "heads": (
        "MultiLabelHead", "NERHead", "RegressionHead", "SentimentHead", "TaskHead", "TextClassificationHead",
        "TextHead", "text_head_for",
    ),
    "heads.sentiment": ("cut_into_levels",),
    "model": ("TransferModel",),
    "output": ("RunFolder",),
    "parsing": ("parse",),
    "prediction": ("predict_file",),
    "recipe": ("run_recipe",),
    "report": ("evaluate_run",),
    "selection.encoders": ("Selection", "select_encoders"),
    "selection.table": ("selection_table", "write_selection"),
    "reporting.again": ("draw_reports",),
    "strategies": ("Strategy", "strategy_from", "strategy_named"),
    "training": ("fit", "make_accelerator", "set_seed"),
    "tuning.tuning": ("require_optuna", "rows_to_tune_on", "tune"),
    "types": (
        "LabelSet", "MultiLabelPrediction", "Prediction", "RegressionPrediction", "RunResult", "SentimentPrediction",
        "Span", "TagPrediction",
    ),
    "updates": ("steps",),
    "verification": ("verify_run",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "strategies", *_HOME_OF]

register_when_transformers_loads()


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, the first time the name is asked for (PEP 562)."""
    if name == "strategies":
        return import_module("nlp_transfer.strategies")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'nlp_transfer' has no attribute '{name}'")
    value = getattr(import_module(f"nlp_transfer.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
