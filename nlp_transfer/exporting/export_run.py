"""Exporting a run: its network in several forms, compared and timed, in a folder that stands alone."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_transfer.config import DataOptions, ExportOptions
from nlp_transfer.config.parsing import values_in_file
from nlp_transfer.errors import DataError, ModelError, OptionError
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.reference_rows import REFERENCE_FILE, ReferenceRows, read_reference_rows
from nlp_transfer.runtime.export_files import holds_export
from nlp_transfer.system import hardware

if TYPE_CHECKING:
    from nlp_transfer.exporting.forms import Export

log = logging.getLogger(__name__)

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_RUN_FILE = "transfer.json"
_HIDDEN = ".incomplete-"


def require_export_packages() -> None:
    """Raise OptionError where a package of the extra `export` is missing."""
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise OptionError(f"exporting needs {' and '.join(missing)}; pip install 'nlp-transfer[export]'.")


def export_run(run: str | Path, options: ExportOptions | None = None) -> Export:
    """Write a run as a folder that `nlp_transfer.runtime.load` opens without torch, and return what was measured.

    Every form of the network answers the reference rows and is compared with the run; layers that int8 harms stay in
    fp32. An error leaves nothing behind: ModelError for a folder that is no run, for a network that ONNX cannot hold,
    and where no form answers as the run does; OptionError for a head of scikit-learn, a missing package, and a folder
    that is not empty; DataError for rows that cannot be used.

    >>> export_run("runs/classify").taken
    'int8'
    """
    options = options or ExportOptions()
    require_export_packages()
    folder = Path(run)
    transfer = _transfer(folder)
    target = Path(options.output_dir) if options.output_dir else folder / "exported"
    _require_free(target, options.overwrite_output_dir)
    model = TransferModel.load(folder, trust_remote_code=options.trust_remote_code)
    from nlp_transfer.exporting.forms import write_forms  # imports the optional packages
    from nlp_transfer.exporting.onnx_network import require_network

    try:
        require_network(model)
    except OptionError as error:
        raise OptionError(f"{folder} cannot be exported: {error}") from error
    rows = _reference_rows(folder, model, options)
    hardware.use_cores()
    with _complete_or_not_at_all(target) as hidden:
        export = write_forms(model, rows, options, hidden, transfer)
    return replace(export, folder=target)


def _transfer(folder: Path) -> dict[str, Any]:
    """The content of transfer.json."""
    if not (folder / _RUN_FILE).is_file():
        raise ModelError(f"{folder} holds no run (no {_RUN_FILE}); give the folder that a training recipe wrote.")
    try:
        return dict(json.loads((folder / _RUN_FILE).read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError(f"{folder / _RUN_FILE} is damaged; train again.") from error


def _require_free(target: Path, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise OptionError(f"--output_dir {target} is not a folder; name one that is, or a new one.")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not holds_export(target):
        raise OptionError(f"--output_dir {target} is not empty, and holds no export; name another folder.")
    if not overwrite:
        raise OptionError(f"--output_dir {target} already holds an export; name another, or --overwrite_output_dir.")


def _reference_rows(folder: Path, model: TransferModel, options: ExportOptions) -> ReferenceRows:
    """The rows of --validation_file, read as the run has read its own, or those that the run has kept."""
    if options.validation_file is None:
        kept = folder / REFERENCE_FILE
        if not kept.is_file():
            raise DataError(
                f"{folder} has kept no rows ({REFERENCE_FILE}), as earlier versions; give --validation_file."
            )
        return read_reference_rows(kept, model.head)
    names = [field.name for field in fields(DataOptions)]
    settings = folder / "options.yaml"
    values = values_in_file(settings, DataOptions, names) if settings.is_file() else {}
    path = options.validation_file
    only = {"train_file": path, "test_file": path, "validation_file": None, "dataset_name": None}
    data = DataOptions(**values | only | {"dataset_config_name": None, "validation_split_percentage": 0.0})
    kind = model.head.task_options
    of_head = values_in_file(settings, kind, [f.name for f in fields(kind)]) if settings.is_file() else {}
    splits, _ = type(model.head).load_task(data, kind(**of_head))
    return ReferenceRows.of(splits.train.data[:], model.head, path)


@contextlib.contextmanager
def _complete_or_not_at_all(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target, which takes its place where the block succeeds, and else is removed."""
    token = uuid.uuid4().hex[:12]
    hidden = target.with_name(f"{_HIDDEN}{target.name}-{token}")
    try:
        hidden.mkdir(parents=True)
    except OSError as error:
        raise OptionError(f"cannot write to --output_dir {target}: {error.strerror}.") from error
    try:
        yield hidden
        if target.exists():
            old = target.with_name(f"{_HIDDEN}{target.name}-old-{token}")
            os.rename(target, old)
            os.rename(hidden, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(hidden, target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
