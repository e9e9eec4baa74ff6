"""Tables of records: what the reader of each form of file returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nlp_transfer.errors import DataError


class Record(NamedTuple):
    """A row as the file has it; `line` is the line where it begins, or its number where the form has no lines.

    Where a row is a file of its own, `file` is its path within the folder.
    """

    line: int
    values: Mapping[str, Any]
    file: str | None = None


class BadRow(NamedTuple):
    """A row that cannot be used; `fault` completes "a row with ...", `at` is the line, or the file, to look at.

    Readers yield `Record | BadRow`, in the order of the file, and callers tell them apart by `isinstance`: it is what
    type checkers narrow such a union by, and a flag or a pair of optionals would let a bad row pass for a record.
    Where `is_meant`, somebody has taken the row out, as an annotator who rejected it: reading goes on, and says so.
    """

    line: int
    fault: str
    at: int | str
    is_meant: bool = False


@dataclass(frozen=True)
class Table:
    """What a file, folder or data set holds; `records(columns)` may be read once, and yields at least those columns.

    `notes` report to the user, a sentence each, how it is read where that is not obvious, and `remarks()` gives such
    as are known only when all records have been read. `about_columns` is a hint, without a full stop, for who looks for
    a column that is not there.
    """

    columns: tuple[str, ...]
    records: Callable[[Sequence[str]], Iterator[Record | BadRow]]
    unit: str = "line"
    notes: tuple[str, ...] = ()
    remarks: Callable[[], tuple[str, ...]] = tuple
    about_columns: str = ""
    columns_are_all: bool = True
    """Whether no row can have a column beside `columns`, as a JSON object can."""


def refuse_repeats(path: str | Path, columns: Sequence[str], hint: str = "") -> None:
    """DataError where two columns have one name; the hint is that of `Table.about_columns`."""
    repeats = sorted({name for name in columns if columns.count(name) > 1})
    if repeats:
        raise DataError(
            f"{path}, line 1: column names repeat: {', '.join(repeats)}; give every column its own name."
            + (f" {hint}." if hint else "")
        )
