"""Module paths of the release before: they work for one release more, with a warning that names the new one."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "hardware": "system.hardware",
    "machine": "system.hardware",
    "writing": "system.atomic_files",
    "flushing": "system.atomic_files",
    "locking": "system.locking",
    "pickles": "system.pickles",
    "durations": "system.durations",
    "recipe": "system.cli",
    "parsing": "config.parsing",
    "config.folders": "config.output_options",
    "config.looking": "config.experiment_options",
    "config.predicting": "config.prediction_options",
    "config.sources": "config.input_options",
    "config.tasks": "config.head_options",
    "config.training": "config.training_options",
    "config.values": "config.option_fields",
    "data.annotated": "data.readers.annotated",
    "data.cells": "data.readers.cells",
    "data.columns": "data.readers.columns",
    "data.conll": "data.readers.conll",
    "data.faults": "data.readers.bad_rows",
    "data.hub": "data.readers.hub",
    "data.layouts": "data.readers.span_layouts",
    "data.offsets": "data.readers.offsets",
    "data.forms": "data.readers",
    "data.forms.brat": "data.readers.brat",
    "data.forms.columnar": "data.readers.columnar",
    "data.forms.delimited": "data.readers.delimited",
    "data.forms.docbin": "data.readers.docbin",
    "data.forms.folders": "data.readers.text_folders",
    "data.forms.json": "data.readers.json_records",
    "data.forms.lines": "data.readers.text_lines",
    "data.forms.table": "data.readers.records",
    "data.check": "data.label_check",
    "data.read": "data.read_rows",
    "data.schemes": "data.tag_schemes",
    "data.source": "data.source_rows",
    "data.spans": "data.character_spans",
    "data.store": "data.row_store",
    "data.tasks": "data.task_columns",
    "data.texts": "data.prediction_rows",
    "metrics.base": "metrics.evaluate_metrics",
    "metrics.calibration": "metrics.calibration_error",
    "metrics.labels": "metrics.label_scores",
    "metrics.numbers": "metrics.number_scores",
    "metrics.sets": "metrics.label_set_scores",
    "metrics.spans": "metrics.span_scores",
    "calibration": "metrics.temperature",
    "pretrained": "encoders.pretrained",
    "encoder": "encoders.encoder",
    "precision": "encoders.precision",
    "registration": "encoders.registration",
    "memory": "encoders.cost",
    "flops": "encoders.cost",
    "pooling": "encoders.pooling",
    "pooling.config": "encoders.pooling.pooled_config",
    "pooling.network": "encoders.pooling.pooled_network",
    "shallow": "encoders.sklearn_head",
    "shallow.config": "encoders.sklearn_head.sklearn_config",
    "shallow.decisions": "encoders.sklearn_head.decisions",
    "shallow.fitting": "encoders.sklearn_head.fitting",
    "shallow.network": "encoders.sklearn_head.sklearn_network",
    "shallow.storage": "encoders.sklearn_head.sklearn_storage",
    "heads.base": "heads.task_head",
    "heads.text": "heads.text_head",
    "heads.earlier": "heads.reuse",
    "heads.stock": "heads.from_transformers",
    "heads.viterbi": "decoding.viterbi",
    "heads.word_tokens": "data.word_windows",
    "frozen": "activations.frozen_layers",
    "grafting": "activations.truncation",
    "kept_states": "activations.cached_inputs",
    "model": "models.transfer_model",
    "inference": "models.inference",
    "adapters": "models.adapters",
    "adapters.adapter": "models.adapters.adapter",
    "adapters.peft_config": "models.adapters.peft_config",
    "adapters.prompts": "models.adapters.prompt_tuning",
    "adapters.targets": "models.adapters.adapter_targets",
    "strategies.base": "strategies.strategy",
    "strategies.replayed": "strategies.replay_sources",
    "optim": "strategies.param_groups",
    "stages": "training.stage",
    "updates": "training.steps",
    "plan": "training.plan",
    "progress": "training.progress",
    "best": "training.best_weights",
    "collapse": "training.collapse",
    "attempts": "training.restarts",
    "shards": "training.fsdp",
    "dropout": "training.fast_dropout",
    "words": "training.vocabulary_pruning",
    "checkpoint": "training.checkpointing.checkpoint_files",
    "state": "training.checkpointing.run_state",
    "keeping": "training.checkpointing.manager",
    "identity": "training.checkpointing.fingerprint",
    "stopping": "training.checkpointing.signals",
    "report": "evaluation.evaluate_run",
    "baselines": "heads.baselines",
    "prediction": "evaluation.predict_file",
    "parts": "evaluation.resumable_output",
    "output": "run.run_folder",
    "artifacts": "run.write_run",
    "card": "run.model_card",
    "verification": "run.verify_run",
    "reopening": "run.fresh_process",
    "reporting": "run.report",
    "reporting.again": "run.report.redraw",
    "reporting.entities": "run.report.entity_errors",
    "reporting.findings": "run.report.run_findings",
    "reporting.labels": "run.report.label_errors",
    "reporting.matrix": "run.report.confusion_matrix",
    "reporting.numbers": "run.report.number_errors",
    "reporting.page": "run.report.run_page",
    "reporting.pictures": "run.report.run_pictures",
    "reporting.scores": "run.report.score_table",
    "reporting.sets": "run.report.label_set_errors",
    "reporting.several": "run.report.several_runs",
    "reporting.slices": "run.report.slices",
    "reporting.telling": "run.report.wording",
    "reporting.trust": "run.report.confidence",
    "reporting.writing": "run.report.write_report",
    "pages": "run.html",
    "pages.drawing": "run.html.drawing",
    "pages.shell": "run.html.page_shell",
    "checks.encoding": "checks.encoding_errors",
    "checks.exact": "checks.duplicates",
    "checks.findings": "checks.finding",
    "checks.folds": "checks.out_of_fold",
    "checks.full": "checks.check_data",
    "checks.labels": "checks.label_counts",
    "checks.near": "checks.near_duplicates",
    "checks.networks": "checks.encoder_probabilities",
    "checks.packages": "checks.check_data",
    "checks.page": "checks.write_checks",
    "checks.pictures": "checks.check_pictures",
    "checks.quick": "checks.quick_check",
    "checks.rows": "checks.checked_rows",
    "checks.source": "checks.read_for_checks",
    "checks.table": "checks.check_table",
    "checks.tags": "checks.odd_tags",
    "checks.tokens": "checks.tokenization",
    "checks.words": "checks.word_probabilities",
    "checks.writing": "checks.write_checks",
    "comparing": "experiments.compare",
    "comparing.candidates": "experiments.candidates",
    "comparing.comparison": "experiments.compare.comparison",
    "comparing.curve": "experiments.compare.summary",
    "comparing.entries": "experiments.compare.entries",
    "comparing.folder": "experiments.compare.comparison_folder",
    "comparing.heads": "heads.task_head",
    "comparing.pace": "experiments.compare.trial_processes",
    "comparing.page": "experiments.compare.comparison_files",
    "comparing.pictures": "experiments.compare.comparison_pictures",
    "comparing.predictions": "experiments.compare.trial_results",
    "comparing.result": "experiments.compare.comparison",
    "comparing.rows": "experiments.compare.shared_rows",
    "comparing.running": "experiments.compare.trial_processes",
    "comparing.summary": "experiments.compare.summary",
    "comparing.table": "experiments.compare.comparison_table",
    "comparing.tasks": "experiments.task_rows",
    "comparing.trial": "experiments.trial",
    "comparing.units": "experiments.compare.summary",
    "comparing.verdict": "experiments.compare.verdict",
    "comparing.versions": "experiments.compare.comparison",
    "comparing.work": "experiments.compare.trial_results",
    "comparing.writing": "experiments.compare.comparison_files",
    "tuning": "experiments.tune",
    "tuning.search": "experiments.tune.search",
    "tuning.space": "experiments.tune.search_space",
    "tuning.trials": "experiments.tune.tuning_trials",
    "tuning.tuning": "experiments.tune.tuning",
    "selection": "experiments.select",
    "selection.encoders": "experiments.select.select_encoders",
    "selection.features": "experiments.select.layer_features",
    "selection.h_score": "experiments.select.h_score",
    "selection.logme": "experiments.select.logme",
    "selection.nleep": "experiments.select.nleep",
    "selection.probe": "experiments.select.probe",
    "selection.ranking": "experiments.select.ranking",
    "selection.sample": "experiments.select.sample",
    "selection.table": "experiments.select.selection_table",
    "choosing": "experiments.auto.choose_strategy",
    "trying": "experiments.auto.try_candidates",
}
"""Old module or package -> new one, both below `nlp_transfer`; each module of a moved package has a line of its own."""

MOVED_NAMES = {
    "activations": {
        **dict.fromkeys(("Key", "Store", "cache_folder"), "activations.activation_store"),
        "main": "activations.__main__",
    },
    "training": {
        "TRACKERS": "config.training_options",
        "fit": "training.loop",
        "make_accelerator": "training.accelerator",
        "require_score": "training.option_check",
        "set_seed": "training.loop",
    },
}
"""Package whose name was a module's -> what that module defined -> the module that defines it now."""

_PACKAGE = "nlp_transfer."


def redirect_old_paths() -> None:
    """Let every old path import the module that it is now.

    Modules that forward would do without a finder, but leave a hundred files beside the rooms; aliases in `sys.modules`
    would load all of the package at once, and could not warn.
    """
    sys.meta_path.insert(0, _OldPathFinder())


def moved_names(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package in `MOVED_NAMES`, which imports a name from where it is now, and warns once."""
    modules = MOVED_NAMES[package.removeprefix(_PACKAGE)]

    def __getattr__(name: str) -> Any:  # noqa: N807 (PEP 562)
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        new = _PACKAGE + modules[name]
        _warn(f"{package}.{name}", f"{new}.{name}")
        value = getattr(importlib.import_module(new), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__


class _OldPathFinder:
    """Finds the modules of `MOVED`; Python asks it only for what was not imported yet."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        new = MOVED.get(fullname.removeprefix(_PACKAGE)) if fullname.startswith(_PACKAGE) else None
        return None if new is None else ModuleSpec(fullname, _Redirect(_PACKAGE + new))  # type: ignore[arg-type]


class _Redirect:
    """Loads a new module under its old path; both are one object, so that classes and pickles are the same."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _warn(spec.name, self.new)
        module = importlib.import_module(self.new)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # which Python has replaced by that of the old path


def _warn(old: str, new: str) -> None:
    """Warn at the line that imports, which is the first frame outside of here and of importlib.

    A FutureWarning, because Python shows a DeprecationWarning only where `__main__` itself causes it: not in a module
    of a user's own, nor for a pickle.
    """
    frame = sys._getframe()
    while frame.f_back and (
        frame.f_globals is globals() or frame.f_globals.get("__name__", "").startswith("importlib")
    ):
        frame = frame.f_back
    warnings.warn_explicit(
        f"{old} has moved to {new}; the next release drops the old path.",
        FutureWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__"),
    )
