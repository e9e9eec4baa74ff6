"""Compressed files, read as what is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa  # type: ignore[import-untyped]

from nlp_transfer.errors import DataError


def _zstandard(path: Path) -> IO[bytes]:
    # Python has a module of its own from 3.14 on
    stream: Any = io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return stream


_OPENERS: dict[str, Callable[[Path], Any]] = {
    "": partial(open, mode="rb"),
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}
_FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)


def form_of(path: Path) -> str:
    """The suffix of a file in lower case, or where it is compressed that of the file in it: .csv of train.csv.gz.

    >>> form_of(Path("train.CSV.gz"))
    '.csv'
    """
    return path.with_suffix("").suffix.lower() if _compression(path) else path.suffix.lower()


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, with their ends, decompressed by its suffix. DataError where it is damaged."""
    with open(path, "rb"):
        pass  # what prevents the opening of any file is no damage
    try:
        with _OPENERS[_compression(path)](path) as file:
            yield from file
    except _FAULTS as error:
        if not _compression(path):
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is damaged or not {_compression(path)} ({why}); copy or compress it again.") from None


def refuse_compressed(path: Path) -> None:
    """DataError where a file is compressed whose form is compressed in itself."""
    if suffix := _compression(path):
        raise DataError(f"{path}: {form_of(path)} is read as it is, and not from a {suffix}; decompress it first.")


def _compression(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in _OPENERS else ""
