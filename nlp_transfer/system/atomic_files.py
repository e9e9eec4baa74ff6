"""Atomic writes of files, and the wait until the disk holds what was written."""

from __future__ import annotations

import os
from pathlib import Path

_HIDDEN = ".incomplete-"


def write_whole(path: Path, text: str) -> None:
    """Write a file that has its name when it is whole; where it cannot be, what stood there stays. Raises OSError."""
    hidden = path.with_name(f"{_HIDDEN}{path.name}")
    try:
        # The name of a file need not be UTF-8: such bytes are written as \udc.. .
        hidden.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(hidden, path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder where that can be asked.

    A folder may be one that its user can write into and not list, or lie on a file system that has no such thing.
    """
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":  # only there can a folder be opened
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


def flush_whole(folder: Path) -> None:
    """Wait until the disk holds a folder, and everything in it."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir() or path.is_file():
            flush(path)
