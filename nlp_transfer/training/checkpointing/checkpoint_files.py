"""The files of checkpoints: atomic writes, checksums, and which ones are kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nlp_transfer.errors import UserError, is_full_disk
from nlp_transfer.system.atomic_files import flush, flush_folder
from nlp_transfer.system.pickles import refuse_pickles

log = logging.getLogger(__name__)

_VALUES, _CHECKSUMS = "values.json", "checksums.json"
_NAME = re.compile(r"step-(\d{8,})")
_HIDDEN = ".incomplete-"
_BLOCK = 1 << 22  # bytes read at a time


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint on disk: plain values, and files of tensors. Reading it runs no code: JSON and safetensors alone."""

    path: Path
    values: Mapping[str, Any]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of the file `name`."""
        with safe_open(self.path / f"{name}.safetensors", framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)


class CheckpointFolder:
    """The checkpoints of a run, a folder for each, of which the newest `keep` stay.

    >>> checkpoints = CheckpointFolder(Path("runs/mine/checkpoints"))
    >>> checkpoints.write(120, {"epoch": 1.5}, {"weights": dict(network.named_parameters())})
    >>> checkpoints.newest().values["epoch"]
    1.5

    A checkpoint is written under a hidden name, flushed to disk, and renamed: even if the process is killed or the
    power fails, what is not hidden is complete. A file of checksums shows later damage. One process writes.
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        self.folder = Path(folder)
        self.keep = keep
        self._ours: list[Path] = []

    @property
    def bytes(self) -> int:
        """How much of the disk the checkpoints take."""
        return sum(path.stat().st_size for folder in self._paths() for path in folder.rglob("*") if path.is_file())

    def newest(self) -> SavedCheckpoint | None:
        """The newest undamaged checkpoint, None where there is none at all; damaged ones are logged.

        Raises UserError where all are damaged, and ModelError for one that holds a pickle.
        """
        paths = self._paths()
        newest, damaged = None, []
        for path in reversed(paths):
            try:
                newest = self.at(path)
                break
            except _DamagedError as error:
                damaged.append(str(error))
        if damaged and not newest:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged ({'; '.join(damaged)}); start over with "
                f"--overwrite_output_dir."
            )
        for line in damaged:
            log.info("The checkpoint %s; using the one before it.", line)
        self._ours = paths[: len(paths) - len(damaged)]
        return newest

    def at(self, path: Path) -> SavedCheckpoint:
        """The checkpoint at `path`. Raises UserError where it is damaged, and ModelError where it holds a pickle."""
        refuse_pickles(path, ", which no checkpoint of a run has; find out who put it there, and remove it.")
        try:
            checksums = json.loads((path / _CHECKSUMS).read_text(encoding="utf-8"))
            wrong = [name for name, digest in checksums.items() if _digest(path / Path(name).name) != digest]
            values = {} if wrong else json.loads((path / _VALUES).read_text(encoding="utf-8"))
        except (OSError, ValueError, AttributeError) as error:
            raise _DamagedError(f"{path.name} is damaged ({_reason(error)})") from error
        if wrong or _VALUES not in checksums:
            raise _DamagedError(
                f"{path.name} is damaged ({', '.join(wrong) or _CHECKSUMS} has changed since it was written)"
            )
        self._ours = [other for other in self._paths() if _number(other) <= _number(path)]
        return SavedCheckpoint(path, values)

    def write(self, step: int, values: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]) -> Path:
        """Write the state after `step`, then remove older checkpoints, and those of another run.

        Raises UserError where the disk is full; earlier checkpoints then stay, and nothing half-written is left.
        """
        path = self.folder / f"step-{step:08d}"
        hidden = self._hidden(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clean_up()
            hidden.mkdir()
            _write(hidden, values, tensors)
            if path.exists():  # damaged, or of another run
                self._remove(path)
            os.rename(hidden, path)
            for folder in (self.folder, *list(self.folder.parents)[:2]):  # the run's folder may be new too
                flush(folder)
        except BaseException as error:
            shutil.rmtree(hidden, ignore_errors=True)
            with contextlib.suppress(OSError):  # it holds older checkpoints
                self.folder.rmdir()
            if is_full_disk(error):
                raise UserError(self._full_disk(step)) from error
            raise
        earlier = [other for other in self._ours if _number(other) < step]
        self._ours = [*earlier, path][-self.keep :]
        for other in self._paths():
            if other not in self._ours:
                self._remove(other)
        return path

    def _full_disk(self, step: int) -> str:
        last = f"{self._ours[-1].name} is complete, and --resume continues from it" if self._ours else "it is the first"
        return f"no room left on disk for the checkpoint of step {step} in {self.folder}; free some ({last})."

    def _paths(self) -> list[Path]:
        """The folders of all checkpoints, oldest first."""
        paths = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((path for path in paths if _NAME.fullmatch(path.name)), key=_number)

    def _hidden(self, path: Path) -> Path:
        return path.with_name(f"{_HIDDEN}{path.name}-{uuid.uuid4().hex[:8]}")

    def _remove(self, path: Path) -> None:
        hidden = self._hidden(path)  # a kill halfway must not leave half a checkpoint
        os.rename(path, hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def _clean_up(self) -> None:
        for path in self.folder.glob(f"{_HIDDEN}*"):
            shutil.rmtree(path, ignore_errors=True)


class _DamagedError(UserError):
    pass


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _write(folder: Path, values: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    (folder / _VALUES).write_text(json.dumps(values), encoding="utf-8")
    mode = (folder / _VALUES).stat().st_mode & 0o777
    for name, contents in tensors.items():
        path = folder / f"{name}.safetensors"
        save_file({key: tensor.detach().contiguous() for key, tensor in contents.items()}, path)
        path.chmod(mode)  # safetensors makes files that only their owner may read
    checksums = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    (folder / _CHECKSUMS).write_text(json.dumps(checksums, indent=1), encoding="utf-8")
    flush_folder(folder)


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    return getattr(error, "strerror", None) or f"{_CHECKSUMS} cannot be read"


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """A hash of tensors and their names."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
