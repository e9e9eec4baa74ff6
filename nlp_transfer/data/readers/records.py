"""What does every form of file become? A table of records, each with the place where it stands."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nlp_transfer.errors import DataError

FOLDER = "folders"
"""What takes the place of a suffix among the forms that `open_table` is given, for the reader of a folder."""


class Record(NamedTuple):
    """A row as the file has it; `line` is the line where it begins, or its number where the form has no lines.

    Where a row is a file of its own, `file` is its path within the folder.
    """

    line: int
    values: Mapping[str, Any]
    file: str | None = None


class BadRow(NamedTuple):
    """A row that cannot be used; `fault` completes "a row with ...", `at` is the line, or the file, to look at."""

    line: int
    fault: str
    at: int | str


@dataclass(frozen=True)
class Table:
    """What a file, folder or data set holds; `records(columns)` may be read once, and yields at least those columns.

    `notes` tell the user, a sentence each, how it was read where that was not plain.
    """

    columns: tuple[str, ...]
    records: Callable[[Sequence[str]], Iterator[Record | BadRow]]
    unit: str = "line"
    notes: tuple[str, ...] = ()


def open_table(path: str | os.PathLike[str], forms: Mapping[str, Callable[[Path], Table]]) -> Table:
    """Open a file by its suffix, `forms` giving the suffixes and their readers; DataError if there is no such file.

    The reader of a folder stands in `forms` under `FOLDER`.
    """
    path = Path(path)
    require_file(path)
    if path.is_dir() and FOLDER not in forms:
        raise DataError(f"{path} is a folder; give a file in it.")
    suffix = FOLDER if path.is_dir() else path.suffix.lower()
    if suffix not in forms:
        named = f"the suffix '{path.suffix}' is" if path.suffix else "a name without a suffix is"
        raise DataError(f"{path}: {named} not one that is read here; the forms known are {', '.join(forms)}.")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read by you; give yourself the right with: chmod u+r '{path}'")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty; give a file with rows in it.")
    return forms[suffix](path)


def require_file(path: Path) -> None:
    """DataError unless there is such a file or folder."""
    if not path.exists():
        raise DataError(f"{path} does not exist; {_nearest_file(path)}")


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"nor does its folder {path.parent}: check the path."
    near = difflib.get_close_matches(path.name, sorted(os.listdir(path.parent)), n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path."


def refuse_repeats(path: str | Path, columns: Sequence[str]) -> None:
    """DataError where two columns have one name."""
    repeats = sorted({name for name in columns if columns.count(name) > 1})
    if repeats:
        raise DataError(f"{path}, line 1: column names repeat: {', '.join(repeats)}; give every column its own name.")
