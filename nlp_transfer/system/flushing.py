"""Does the disk hold what was written, should the power fail now?"""

from __future__ import annotations

import os
from pathlib import Path


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
