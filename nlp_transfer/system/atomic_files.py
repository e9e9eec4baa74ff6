"""Atomic writes of files, and the wait until the disk holds what was written."""

from __future__ import annotations

import os
from pathlib import Path

_HIDDEN = ".incomplete-"


def write_atomically(path: Path, text: str, *, flushed: bool = False) -> None:
    """Write a file atomically: it is complete or, on an error, the one that was there stays. Raises OSError.

    With `flushed` this holds for a power cut too, at the cost of a wait for the disk.
    """
    hidden = path.with_name(f"{_HIDDEN}{path.name}")
    try:
        # The name of a file need not be UTF-8: such bytes are written as \udc.. .
        hidden.write_text(text, encoding="utf-8", errors="backslashreplace")
        if flushed:
            flush(hidden)
        os.replace(hidden, path)
        if flushed:
            flush(path.parent)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk (fsync).

    Errors on a folder are ignored: it may not be readable, or its file system may have no fsync of folders.
    """
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":  # elsewhere a folder cannot be opened
        return
    try:
        handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        if not is_folder:
            raise


def flush_folder(folder: Path) -> None:
    """Flush a folder and everything in it to disk."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir() or path.is_file():
            flush(path)
