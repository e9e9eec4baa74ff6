"""Refusal of pickle files, which can run any code when they are loaded."""

from __future__ import annotations

from pathlib import Path

from nlp_transfer.errors import ModelError

_PICKLES = (".dill", ".joblib", ".pickle", ".pkl")
_OF_TORCH = (".bin", ".ckpt", ".pt", ".pth")


def refuse_pickles(folder: Path, advice: str, *, of_torch: bool = True) -> None:
    """Raise ModelError, ending with `advice`, for a pickle in a folder, at any depth, whatever its name.

    With `of_torch` false, files of `torch.save` are allowed: hub models come with weights and training state in such.
    They must be opened with `weights_only=True`, as transformers does, or not at all.
    """
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if not path.is_file() or (not of_torch and path.suffix.lower() in _OF_TORCH):
            continue
        if path.suffix.lower() in (*_PICKLES, *_OF_TORCH) or _begins_as_pickle(path, of_torch):
            raise ModelError(f"{folder} holds {path.name}, a pickle, which can run code when it is loaded{advice}")


def _begins_as_pickle(path: Path, or_zip: bool) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(2)
    except OSError:  # then it cannot be loaded either
        return False
    if path.suffix == ".safetensors":  # its first bytes are a length; were it a pickle, it would not open
        return False
    return (or_zip and head == b"PK") or (len(head) == 2 and head[0] == 0x80 and head[1] <= 5)  # torch.save's is a zip
