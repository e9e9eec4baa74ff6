"""Writing the files of a run: model, metrics, predictions, options, model card and report."""

from __future__ import annotations

import contextlib
import json
import logging
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nlp_transfer.config import DataOptions, ModelOptions, OutputOptions, TrainingOptions
from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.model_card import model_card
from nlp_transfer.run.reference_rows import REFERENCE_FILE, write_reference_rows
from nlp_transfer.run.report.write_report import write_run_report
from nlp_transfer.run.verify_run import reference_logits, verify_in_background
from nlp_transfer.strategies.choice import read_choice
from nlp_transfer.system.hardware import precision
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)


def write_run(
    folder: Path,
    model: TransferModel,
    splits: Splits,
    report: Report,
    options: Sequence[Any] = (),
    train_predictions: Sequence[Any] | None = None,
) -> None:
    """Write `model/`, metrics.json, transfer.json, predictions.jsonl, options.yaml and README.md, and unless the
    options disable it report.html, with its data in report.json. Options that were left open are written with the
    values that they took.

    test_predictions.jsonl has the predictions of test rows without labels, train_predictions.jsonl those of training
    rows without labels (`train_predictions`, where they are known already), reference_rows.jsonl some rows of
    validation, with which an export is compared, misaligned.txt the spans that were widened or left out, if there are
    any, and `adapter/` an adapter that was merged. Where no row has a label there are no predictions.jsonl and no
    reference rows. `options` are the dataclasses of options of the run. Unless they disable it, the saved model is
    loaded in a fresh process and compared with the trained one; ModelError if it differs.
    """
    model.save(folder / "model")
    options = [_as_taken(group, model, splits, report) for group in options]
    training = next((group for group in options if isinstance(group, TrainingOptions)), TrainingOptions())
    verified = splits.scored or splits.train
    reference = reference_logits(model, verified.data, precision(training.mixed_precision))
    # Loading the model takes seconds, most of them imports, and so does the report: they run side by side.
    background = verify_in_background(folder / "model", reference) if training.verify else contextlib.nullcontext()
    with background as verification:
        if model.adapter and model.adapter.is_merged:
            model.save_adapter(folder / "adapter")
        _write_json(folder / "metrics.json", _metrics(report))
        transfer = _transfer(model, splits, report, options) | {"verification": reference}
        if model.rejection:
            transfer["rejection"] = {"method": model.rejection.method, "threshold": model.rejection.threshold}
            transfer["rejection"] |= model.rejection.findings
        if choice := read_choice(folder):
            transfer["auto"] = asdict(choice)
        if report.split:
            with open(folder / "predictions.jsonl", "w", encoding="utf-8", errors=_ERRORS) as file:
                for row, (gold, one) in enumerate(zip(report.references, report.predictions, strict=True)):
                    file.write(json.dumps(one.record(row, gold), ensure_ascii=False) + "\n")
        if (kept := splits.validation or splits.train).has_labels:  # what an export is chosen by is never test
            write_reference_rows(folder / REFERENCE_FILE, kept.data)
        if splits.unlabelled:
            predicted = _predicted(model, splits.unlabelled, training)
            _write_unlabelled(folder / "test_predictions.jsonl", splits.unlabelled, predicted)
        if not splits.train.has_labels:
            predicted = train_predictions or _predicted(model, splits.train, training)
            _write_unlabelled(folder / "train_predictions.jsonl", splits.train, predicted)
        if lines := splits.misaligned():
            _write(folder / "misaligned.txt", "\n".join(lines) + "\n")
        _write(folder / "options.yaml", to_yaml(*(_without_resume(group) for group in options)))
        if all(group.report for group in options if isinstance(group, OutputOptions)):
            write_run_report(folder, model, splits, report, transfer)
        entities = None
        if verification:
            outcome = verification()
            log.info(outcome)
            entities = outcome.entities
        if entities and entities.differing:
            reference["pipeline"] = None  # the card shows no pipeline, and there is none to verify again
        base = next((group.model_name_or_path for group in options if isinstance(group, ModelOptions)), None)
        for target in (folder, folder / "model"):
            _write(target / "README.md", model_card(model, splits, report, base, entities))
        _write_json(folder / "transfer.json", transfer)  # last, as it marks a complete run


def _predicted(model: TransferModel, rows: Rows, options: TrainingOptions) -> Iterable[Any]:
    """A prediction for each row, made while they are written."""
    names = [name for name in ("text", "text_pair", "words") if name in rows.data.column_names]
    texts = (row[0] if len(names) == 1 else list(row) for row in rows_of(rows.data, *names))
    return model.predict(texts, options.per_device_eval_batch_size, precision(options.mixed_precision))


def _write_unlabelled(path: Path, rows: Rows, predictions: Iterable[Any]) -> None:
    """A line for each row that has no label, as recipes/predict.py writes it."""
    unit = "line" if rows.unit == "line" else "row"
    with open(path, "w", encoding="utf-8", errors=_ERRORS) as file:
        for line, predicted in zip(values(rows.data, "line"), predictions, strict=True):
            record = {unit: line} | predicted.output(all_probabilities=False, abstains=False)
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _as_taken(options: Any, model: TransferModel, splits: Splits, report: Report) -> Any:
    """Options with the values that were taken for those not given, so that options.yaml repeats the run by itself."""
    if isinstance(options, TrainingOptions):
        return report.run.options or options
    if isinstance(options, DataOptions):
        if splits.held_out_share is None or options.validation_split_percentage is not None:
            return options
        return replace(options, validation_split_percentage=100 * splits.held_out_share)
    is_of_head = isinstance(options, model.head.task_options)
    if not is_of_head:
        return options
    left_open = {name for name, value in vars(options).items() if value is None}
    return replace(options, **{name: value for name, value in model.head.options().items() if name in left_open})


def _without_resume(options: Any) -> Any:
    """Options for a run from its start: without `resume`."""
    return replace(options, resume=None) if isinstance(options, OutputOptions) else options


def _metrics(report: Report) -> dict[str, Any]:
    run = report.run
    return {
        **report.scores,
        "baselines": report.baselines,
        **({"label_free": run.label_free} if run.label_free else {}),
        "train": {"seconds": run.seconds, "rows_per_second": run.rows_per_second, "steps": run.steps,
                  "trained_weights": run.trained_weights, "seed": run.seed, "restarts": run.restarts,
                  "best_epoch": run.best_epoch, "metric": run.metric, "history": run.history},
    }  # fmt: skip


def _transfer(model: TransferModel, splits: Splits, report: Report, options: Sequence[Any]) -> dict[str, Any]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "task": report.task,
        "labels": list(model.head.labels),
        "head": model.head.options(),
        "calibration": model.head.calibration(),
        "encoder": {"family": model.encoder.family, "parameters": model.encoder.parameter_count},
        "preprocessing": {"max_length": model.max_length, "tokenizer": type(model.tokenizer).__name__},
        "seed": report.run.seed,
        "data": {
            name: {"source": rows.source, "rows": len(rows.data), "skipped": len(rows.skipped),
                   "columns": dict(rows.columns), "sha256": rows.sha256}
            for name, rows in parts.items()
            if rows is not None
        },
        "scores": {name: {k: v for k, v in s.items() if isinstance(v, float)} for name, s in report.scores.items()},
        "versions": {"nlp_transfer": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "datasets", "accelerate", "tokenizers")},
        "options": {name: value for group in options for name, value in asdict(group).items()},
    }  # fmt: skip


# File names need not be UTF-8; such bytes are written as \udc.., which in JSON is the right escape.
_ERRORS = "backslashreplace"


def _write_json(path: Path, value: Any) -> None:
    _write(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors=_ERRORS)
