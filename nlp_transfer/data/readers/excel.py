"""Rows of Excel workbooks."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.data.readers.compressed import refuse_compressed
from nlp_transfer.data.readers.delimited import row_like
from nlp_transfer.data.readers.records import BadRow, Record, Table, refuse_repeats
from nlp_transfer.errors import DataError, OptionError


def excel_table(path: Path, no_header: bool | None = None) -> Table:
    """The rows of the first sheet that has any, under a header; formulas come as the values that were last computed.

    Needs pandas and openpyxl (extra `excel`). With `no_header` the columns are called 0, 1, 2.
    """
    refuse_compressed(path)
    try:
        import openpyxl  # type: ignore[import-untyped]  # noqa: F401 (an extra)
        import pandas
    except ModuleNotFoundError as error:
        raise OptionError(
            f"reading {path} needs {error.name}, not installed here; install with: "
            'pip install "nlp-transfer[excel]", or save the sheet as CSV.'
        ) from None
    try:
        sheets = pandas.read_excel(path, sheet_name=None, header=None, dtype=object, na_filter=False, engine="openpyxl")
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is damaged or no workbook of Excel ({why}); save it again, or as CSV.") from None
    filled = {name: rows for name, frame in sheets.items() if (rows := _rows(frame))}
    if not filled:
        raise DataError(f"{path} is empty; give a file with a header and rows.")
    sheet, rows = next(iter(filled.items()))
    others = [name for name in filled if name != sheet]
    width = max(len(values) for _, values in rows)
    header = list(map(str, range(width))) if no_header else [_text(value).strip() for value in rows[0][1]]
    # A sheet may be wider than its table: columns that nobody named are read by nobody.
    refuse_repeats(path, [name for name in header if name])
    note = f"{path}: sheet '{sheet}' is read, and not {', '.join(others)}; save another one in a file of its own."
    body = rows if no_header else rows[1:]
    hint = "" if no_header else row_like(tuple(header), [list(map(_text, values)) for _, values in body[:200]])
    if others:
        hint = f"{hint}. Sheet '{sheet}' is read, and not {', '.join(others)}".removeprefix(". ")

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        if not body:
            more = f" {hint}." if hint else ""
            raise DataError(f"{path} holds a header and no rows; give a file with rows in it.{more}")
        for number, values in body:
            yield Record(number, dict(zip(header, map(_plain, values), strict=True)))

    columns = tuple(name for name in header if name)
    return Table(columns, records, "row", (note,) if others else (), about_columns=hint)


def _rows(frame: Any) -> list[tuple[int, list[Any]]]:
    """The rows of a sheet that hold anything, with their numbers."""
    numbered = enumerate(frame.values.tolist(), start=1)
    return [(number, values) for number, values in numbered if any(value != "" for value in values)]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time | datetime.datetime):
        return str(value)
    return None if value == "" else value


def _text(value: Any) -> str:
    return "" if value is None else str(value)
