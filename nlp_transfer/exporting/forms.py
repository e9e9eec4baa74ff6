"""The forms of an exported network: written, compared with the run, timed, and the one to take chosen."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nlp_transfer.config import ExportOptions
from nlp_transfer.decoding.rejection import REJECTION_FILE
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.errors import ModelError
from nlp_transfer.exporting.gate import Budget, Comparison, Gate, quantize_within
from nlp_transfer.exporting.onnx_network import inputs_of, write_onnx
from nlp_transfer.exporting.speed import Predict, Speed, measure_speeds
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.reference_rows import ReferenceRows
from nlp_transfer.runtime import Model, load
from nlp_transfer.runtime.export_files import EXPORT_FILE, FORMAT, NETWORK_FILE, RUNTIME_FILE, TOKENIZER_FILE, sha256
from nlp_transfer.runtime.processor import has_int8_products
from nlp_transfer.system.hardware import capabilities
from nlp_transfer.version import __version__

log = logging.getLogger(__name__)

_SAMPLE = 16
"""Rows on which the loss of each layer is measured."""

_NAMED = 3  # layers in a line of the log


@dataclass(frozen=True)
class Form:
    """What was measured of one form: of an exported network, or of the run itself in PyTorch, which has no file.

    `fault` says what is over the budget, and is empty where nothing is; such a form is not kept, and has no speed.
    """

    name: str
    file: str | None
    bytes: int | None
    comparison: Comparison
    speed: Speed | None
    fault: str = ""
    fp32_layers: Sequence[str] = ()


@dataclass(frozen=True)
class Export:
    """An exported run: its folder, the form that was taken, and what was measured of all, on so many rows."""

    folder: Path
    taken: str
    forms: Sequence[Form]
    metric: str
    rows: int
    source: str


def write_forms(
    model: TransferModel, rows: ReferenceRows, options: ExportOptions, folder: Path, transfer: Mapping[str, Any]
) -> Export:
    """Write the network in the forms of the options, and all that predicting needs, into `folder`.

    Raises ModelError where the fp32 form does not answer as the run does, and where no form that may be taken fits the
    budget.
    """
    budget = Budget(options.budget, options.least_agreement)
    gate = Gate(model, rows)
    log.info("Compared on %s: %d rows, %s %.4f.", rows.source, len(rows.texts), gate.metric, gate.score)
    _write_tokenizer(model, folder)
    if model.rejection:
        model.rejection.save(folder / REJECTION_FILE)
    files = {form: f"model-{form}.onnx" for form in dict.fromkeys(("fp32", *options.forms))}
    description = _description(model, transfer) | {"forms": files, "form": "fp32", "files": {}}
    _write_json(folder / RUNTIME_FILE, description)
    opened = partial(load, folder, check=False)

    tried = {"fp32": _fp32(model, gate, budget, folder / files["fp32"], opened)}
    if "int8" in options.forms:
        tried["int8"] = _int8(gate, budget, folder, files, opened)
    kept = [form for form in options.forms if not tried[form].fault]
    choice = [form for form in kept if options.take in (None, form)]
    if not choice:
        raise ModelError(
            f"int8 is refused: {tried['int8'].fault}; take fp32 (--forms fp32), or allow more by --budget and "
            f"--least_agreement."
        )
    in_torch = {f"PyTorch {name}": precision for name, precision in _precisions(model).items()}
    speeds = measure_speeds(
        {name: _in_torch(model, precision) for name, precision in in_torch.items()}
        | {form: opened(form=form).predict for form in kept},
        rows.texts,
        options.per_device_eval_batch_size,
    )
    taken = max(choice, key=lambda form: speeds[form].in_batches)

    sizes = {form: (folder / name).stat().st_size for form, name in files.items()}
    (folder / files[taken]).rename(folder / NETWORK_FILE)
    for form in set(files) - set(kept):
        (folder / files[form]).unlink()
    files = {form: NETWORK_FILE if form == taken else files[form] for form in kept}
    forms = [
        Form(name, None, None, gate.compare_run(precision), speeds[name]) for name, precision in in_torch.items()
    ] + [
        Form(form, files.get(form), sizes[form], one.comparison, speeds.get(form), one.fault, one.fp32_layers)
        for form, one in tried.items()
        if form in options.forms
    ]
    export = Export(folder, taken, forms, gate.metric, len(rows.texts), rows.source)
    _write_json(folder / EXPORT_FILE, _measured(export, options))
    checksums = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != RUNTIME_FILE}
    _write_json(folder / RUNTIME_FILE, description | {"forms": files, "form": taken, "files": checksums})
    return export


class _Tried(NamedTuple):
    """A form that was written: how it compares, what is over the budget, and its layers in fp32."""

    comparison: Comparison
    fault: str
    fp32_layers: Sequence[str] = ()


def _fp32(model: TransferModel, gate: Gate, budget: Budget, path: Path, opened: Callable[..., Model]) -> _Tried:
    write_onnx(model, path)
    comparison = gate.compare(opened(form="fp32"))
    if fault := comparison.fault(budget):
        raise ModelError(f"the exported network does not answer as the run does: {fault}; nothing is exported.")
    log.info("fp32: %s.", _summary(comparison, gate.metric))
    return _Tried(comparison, "")


def _int8(gate: Gate, budget: Budget, folder: Path, files: Mapping[str, str], opened: Callable[..., Model]) -> _Tried:
    quantized = quantize_within(
        budget,
        folder / files["fp32"],
        folder / files["int8"],
        lambda: gate.compare(opened(form="int8")),
        opened(form="fp32").batch(gate.rows.texts[:_SAMPLE]),
        reduce_range=not has_int8_products(),
    )
    names = [layer.name for layer in quantized.kept]
    if quantized.refusal:
        log.warning("int8 is refused: %s.", quantized.refusal)
        return _Tried(quantized.comparison, quantized.refusal, names)
    log.info("int8: %s.", _summary(quantized.comparison, gate.metric))
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        log.info(
            "int8: %d of %d layers stay in fp32, as int8 harms them: %s%s.",
            *(len(names), quantized.layers, ", ".join(names[:_NAMED]), more),
        )
    return _Tried(quantized.comparison, "", names)


def _summary(comparison: Comparison, metric: str) -> str:
    return (
        f"{comparison.agreement:.1f}% of labels agree with the run's, {metric} {comparison.score:.4f}, logits differ "
        f"by {comparison.largest_difference:.1e} at most"
    )


def _precisions(model: TransferModel) -> dict[str, str]:
    """What the run itself computes in on this machine: its name in the table -> the argument of `predict`."""
    native = precision_for(model.encoder.family, "auto")
    return {"fp32": "no"} | ({native: native} if native != "no" else {})


def _in_torch(model: TransferModel, precision: str) -> Predict:
    return lambda texts, batch_size: model.predict(texts, batch_size, precision)


def _write_tokenizer(model: TransferModel, folder: Path) -> None:
    """Write tokenizer.json as transformers writes it: some tokenizers have parts that it replaces there."""
    with tempfile.TemporaryDirectory() as saved:
        model.tokenizer.save_pretrained(saved)
        (folder / TOKENIZER_FILE).write_bytes((Path(saved) / TOKENIZER_FILE).read_bytes())


def _description(model: TransferModel, transfer: Mapping[str, Any]) -> dict[str, Any]:
    """The content of runtime.json, but for the forms and the checksums."""
    decoder, tokenizer, inputs = model.head.decoder(), model.tokenizer, inputs_of(model)
    assert decoder is not None, "require_network has seen to that"
    return {
        "format": FORMAT,
        "task": model.head.task,
        "labels": list(model.head.labels),
        "decoder": decoder.spec(),
        "max_length": model.max_length,
        "inputs": list(inputs),
        "tokenizer": {
            "unk_token_id": tokenizer.unk_token_id,
            "pad_token_id": model.pad_id,
            "gives_types": "token_type_ids" in inputs,
            "truncation_side": tokenizer.truncation_side,
            "splits_special_tokens": bool(tokenizer.split_special_tokens),
        },
        "rejection": model.rejection and {"method": model.rejection.method, **model.rejection.findings},
        "encoder": transfer.get("encoder", {}),
        "scores": transfer.get("scores", {}),
        "data": {
            name: {"rows": one["rows"], "sha256": one["sha256"]} for name, one in transfer.get("data", {}).items()
        },
        "versions": {"nlp_transfer": __version__}
        | {name: version(name) for name in ("onnx", "onnxruntime", "tokenizers", "torch", "transformers")},
        "has_int8_products": has_int8_products(),
    }


def _measured(export: Export, options: ExportOptions) -> dict[str, Any]:
    """The content of export.json."""
    return {
        "taken": export.taken,
        "metric": export.metric,
        "rows": export.rows,
        "source": export.source,
        "budget": options.budget,
        "least_agreement": options.least_agreement,
        "batch_size": options.per_device_eval_batch_size,
        "processor": dict(capabilities()),
        "threads": torch.get_num_threads(),
        "forms": [asdict(form) for form in export.forms],
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
