"""The vectors of raw texts, computed once and kept in the folder of the labelling loop."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nlp_transfer.errors import OptionError
from nlp_transfer.labelling.texts_to_label import RawText

_BLOCK = 1000  # texts in a file: what a kill can cost is the time of one block

Embed = Callable[[Sequence[str]], np.ndarray]
"""What gives a vector for each text, `(texts, width)`."""


def kept_vectors(folder: Path, texts: Sequence[RawText], encoder: str, embed: Embed) -> np.ndarray:
    """The vectors of texts, `(texts, width)`, from `folder` where it has them, else by `embed`, a block at a time.

    Each block is written as soon as it is there. Raises OptionError where the folder cannot be written to.
    """
    blocks = []
    for start in range(0, len(texts), _BLOCK):
        some = [text.text for text in texts[start : start + _BLOCK]]
        digest = _digest(encoder, some)
        path = folder / f"{start // _BLOCK:05}.npz"
        vectors = _kept(path, digest, len(some))
        if vectors is None:
            vectors = embed(some)
            _keep(path, digest, vectors)
        blocks.append(vectors)
    return np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)


def comparable(vectors: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Vectors less the mean of the first ones, at a length of 1: their products then are cosines.

    All sentence vectors of an encoder share a direction, which says nothing of a text.
    """
    mean = vectors.mean(axis=0)
    centred = [part - mean for part in (vectors, *others)]
    return tuple(part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in centred)


def _digest(encoder: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(encoder.encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def _kept(path: Path, digest: str, count: int) -> np.ndarray | None:
    """The vectors of a file, where they are those of these texts and nothing of them is lost."""
    try:
        with np.load(path) as kept:  # no pickle is read
            vectors: np.ndarray = kept["vectors"]
            return vectors if str(kept["digest"]) == digest and len(vectors) == count else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _keep(path: Path, digest: str, vectors: np.ndarray) -> None:
    hidden = path.with_name(f".incomplete-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(hidden, "wb") as file:
            np.savez(file, vectors=vectors.astype(np.float32), digest=np.array(digest))
        os.replace(hidden, path)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise OptionError(f"cannot keep vectors in {path.parent}: {error.strerror}.") from error
