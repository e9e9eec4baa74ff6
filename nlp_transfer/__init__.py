"""Transfer learning on text: an encoder, a task head, a strategy, and whether the transfer paid.

Names are resolved when they are first used, so that importing the package loads no torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nlp_transfer.encoders.registration import register_when_transformers_loads
from nlp_transfer.version import __version__

# Read when the libraries below are first imported. What a user has set stays.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault(
    "HF_UPDATE_DOWNLOAD_COUNTS", "0"
)  # datasets would tell the hub of each loading, of local files too
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # transformers would ask a server of its own to convert

if TYPE_CHECKING:
    from nlp_transfer import strategies
    from nlp_transfer.checks.check_data import DataReport, check_data
    from nlp_transfer.checks.check_table import report_table
    from nlp_transfer.checks.finding import Finding
    from nlp_transfer.checks.quick_check import check_quickly, refuse_leaks
    from nlp_transfer.checks.read_for_checks import read_for_checks, task_of
    from nlp_transfer.checks.required_packages import require_packages
    from nlp_transfer.checks.tokenization import tokenizer_of
    from nlp_transfer.checks.write_checks import write_report
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
    from nlp_transfer.config.parsing import parse
    from nlp_transfer.data.load import load_splits, require_files, splits_from
    from nlp_transfer.data.read_rows import Rows
    from nlp_transfer.data.splits import Splits
    from nlp_transfer.encoders.encoder import Encoder
    from nlp_transfer.errors import DataError, Interrupted, ModelError, OptionError, RunFinished, UserError
    from nlp_transfer.evaluation.evaluate_run import evaluate_run
    from nlp_transfer.evaluation.predict_file import predict_file
    from nlp_transfer.experiments.auto.choose_strategy import Choice, choose_strategy, settled
    from nlp_transfer.experiments.compare.candidates import candidates_from
    from nlp_transfer.experiments.compare.comparison import Comparison, compare
    from nlp_transfer.experiments.compare.comparison_files import write_comparison
    from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
    from nlp_transfer.experiments.compare.comparison_table import comparison_table
    from nlp_transfer.experiments.select.select_encoders import Selection, select_encoders
    from nlp_transfer.experiments.select.selection_table import selection_table, write_selection
    from nlp_transfer.experiments.task_rows import read_task
    from nlp_transfer.experiments.tune.tuning import require_optuna, rows_to_tune_on, tune
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
    from nlp_transfer.models.transfer_model import TransferModel
    from nlp_transfer.run.report.redraw import draw_reports
    from nlp_transfer.run.run_folder import RunFolder
    from nlp_transfer.run.verify_run import verify_run
    from nlp_transfer.run.write_run import write_run
    from nlp_transfer.strategies import Strategy, strategy_from, strategy_named
    from nlp_transfer.system.cli import run_recipe
    from nlp_transfer.training.loop import fit, make_accelerator, set_seed
    from nlp_transfer.training.steps import steps
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

_HOMES = {
    "run.write_run": ("write_run",),
    "checks.finding": ("Finding",),
    "checks.check_data": ("DataReport", "check_data"),
    "checks.required_packages": ("require_packages",),
    "checks.quick_check": ("check_quickly", "refuse_leaks"),
    "checks.read_for_checks": ("read_for_checks", "task_of"),
    "checks.check_table": ("report_table",),
    "checks.tokenization": ("tokenizer_of",),
    "checks.write_checks": ("write_report",),
    "experiments.compare.candidates": ("candidates_from",),
    "experiments.compare.comparison": ("Comparison", "compare"),
    "experiments.compare.comparison_folder": ("ComparisonFolder",),
    "experiments.compare.comparison_table": ("comparison_table",),
    "experiments.task_rows": ("read_task",),
    "experiments.compare.comparison_files": ("write_comparison",),
    "experiments.auto.choose_strategy": ("Choice", "choose_strategy", "settled"),
    "config": (
        "CacheOptions", "CheckOptions", "ClassificationOptions", "CompareOptions", "DataOptions", "ModelOptions",
        "NEROptions", "OutputOptions", "PredictionOptions", "ReportOptions", "SelectionOptions", "SentimentOptions",
        "StrategyOptions", "TrainingOptions", "TuningOptions",
    ),
    "data.load": ("load_splits", "require_files", "splits_from"),
    "data.read_rows": ("Rows",),
    "data.splits": ("Splits",),
    "encoders.encoder": ("Encoder",),
    "errors": ("DataError", "Interrupted", "ModelError", "OptionError", "RunFinished", "UserError"),
    "heads": (
        "MultiLabelHead", "NERHead", "RegressionHead", "SentimentHead", "TaskHead", "TextClassificationHead",
        "TextHead", "text_head_for",
    ),
    "heads.sentiment": ("cut_into_levels",),
    "models.transfer_model": ("TransferModel",),
    "run.run_folder": ("RunFolder",),
    "config.parsing": ("parse",),
    "evaluation.predict_file": ("predict_file",),
    "system.cli": ("run_recipe",),
    "evaluation.evaluate_run": ("evaluate_run",),
    "experiments.select.select_encoders": ("Selection", "select_encoders"),
    "experiments.select.selection_table": ("selection_table", "write_selection"),
    "run.report.redraw": ("draw_reports",),
    "strategies": ("Strategy", "strategy_from", "strategy_named"),
    "training.loop": ("fit", "make_accelerator", "set_seed"),
    "experiments.tune.tuning": ("require_optuna", "rows_to_tune_on", "tune"),
    "types": (
        "LabelSet", "MultiLabelPrediction", "Prediction", "RegressionPrediction", "RunResult", "SentimentPrediction",
        "Span", "TagPrediction",
    ),
    "training.steps": ("steps",),
    "run.verify_run": ("verify_run",),
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
