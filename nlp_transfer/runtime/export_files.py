"""The files of an exported folder: their names, their checksums, and the reading of what describes the model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nlp_transfer.errors import ModelError
from nlp_transfer.version import __version__

RUNTIME_FILE = "runtime.json"
"""What is needed to predict: the decoder, the labels, the length; and the checksums of all other files."""

NETWORK_FILE = "model.onnx"
"""The network in the form that is to be taken."""

TOKENIZER_FILE = "tokenizer.json"

EXPORT_FILE = "export.json"
"""What was measured of each form."""

FORMAT = 1
"""The version of the layout of runtime.json; a reader of another one refuses it."""


def holds_export(folder: str | Path) -> bool:
    """Whether a folder holds an exported model."""
    return (Path(folder) / RUNTIME_FILE).is_file()


def read_description(folder: Path) -> dict[str, Any]:
    """The content of runtime.json. Raises ModelError where there is none, or one of another version."""
    path = folder / RUNTIME_FILE
    if not path.is_file():
        raise ModelError(f"{folder} holds no export (no {RUNTIME_FILE}); make one with: nlp-transfer export RUN.")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version, by = description["format"], description["versions"]["nlp_transfer"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged; copy the folder again, or export the run again.") from error
    if version != FORMAT:
        raise ModelError(
            f"{folder} was exported by nlp_transfer {by} in format {version}, and this version ({__version__}) reads "
            f"format {FORMAT}; export the run again."
        )
    return dict(description)


def require_intact(folder: Path, checksums: dict[str, str]) -> None:
    """Raise ModelError for the first file that is missing, or that is not the one that was exported."""
    for name, checksum in checksums.items():
        if not (folder / name).is_file():
            raise ModelError(f"{folder} lacks {name}; copy the folder again, or export the run again.")
        if sha256(folder / name) != checksum:
            raise ModelError(
                f"{folder / name} is not the file that was exported: its checksum differs; copy the folder again, or "
                f"export the run again."
            )


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
