"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nlp_transfer.data.readers.records import BadRow, Record, Table, refuse_repeats
from nlp_transfer.data.readers.text_lines import PIECE, is_blank, text_lines
from nlp_transfer.errors import DataError, OptionError

_NAMES = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar", " ": "a blank"}
_BY_NAME = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "pipe": "|", "space": " "}
_MARKS = ",\t;|"  # those that are detected
_SNIFFED = 200  # rows by which the delimiter is detected


def delimiter_named(name: str) -> str:
    """The character that a user calls `name`: itself, or comma, tab, semicolon, pipe or space. OptionError if unknown.

    >>> delimiter_named("tab")
    '\\t'
    """
    delimiter = _BY_NAME.get(name.lower(), name)
    if len(delimiter) != 1 or delimiter in '\r\n"' or "\ud800" <= delimiter <= "\udfff":
        raise OptionError(f"--delimiter must be one character, or {', '.join(_BY_NAME)}; got {name!r}.")
    return delimiter


def csv_table(path: Path, delimiter: str | None = None) -> Table:
    """Delimited rows under a header, quoted as RFC 4180 says.

    The delimiter is the one given; else that of the suffix, a tab in a .tsv and a comma elsewhere, unless the first
    rows are of one width only under another one, which the notes report.
    """
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long documents
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    chosen = delimiter_named(delimiter) if delimiter else _sniffed(path, usual)
    rows = _csv_rows(path, chosen)
    _, header = next(rows, (0, []))
    columns = tuple(name.strip() for name in header)
    if not columns:
        raise DataError(f"{path} is empty; give a file with a header and rows.")
    refuse_repeats(path, [name for name in columns if name])
    note = f"{path}: columns are separated by {_NAMES.get(chosen, repr(chosen))}: {', '.join(columns)}."
    return Table(
        columns, lambda wanted: _csv_records(path, columns, rows), notes=() if chosen == usual or delimiter else (note,)
    )


class _Fit(NamedTuple):
    """How well a delimiter fits the first rows, the best one being the greatest."""

    parts: bool  # into two columns or more, most rows as many as the header
    share: float  # of rows that have as many fields as the header
    alone: bool  # no field of the header holds another delimiter
    columns: int
    is_usual: bool


def _sniffed(path: Path, usual: str) -> str:
    # A wrong guess loses no row in silence: rows of another width than the header are bad rows, under any delimiter.
    sample = [piece for _, piece in itertools.islice(_pieces(path), 5 * _SNIFFED)]
    fits = {mark: _fit(sample, mark, mark == usual) for mark in _MARKS}
    there = [mark for mark in _MARKS if mark == usual or fits[mark].columns > 1]
    return max(there, key=lambda mark: fits[mark])


def _fit(sample: list[str], delimiter: str, is_usual: bool) -> _Fit:
    rows = []
    try:
        for fields in filter(_is_row, csv.reader(sample, delimiter=delimiter, strict=True)):
            rows.append(fields)
    except csv.Error as error:
        if "end of data" not in str(error):  # else a row that continues after the sample
            return _Fit(False, 0.0, False, len(rows[0]) if rows else 0, is_usual)
    header, rest = (rows[0], rows[1 : _SNIFFED + 1]) if rows else ([], [])
    share = sum(len(row) == len(header) for row in rest) / len(rest) if rest else 1.0
    alone = not any(mark in name for name in header for mark in _MARKS)
    return _Fit(len(header) > 1 and share >= 0.5, share, alone, len(header), is_usual)


def _csv_records(
    path: Path, columns: tuple[str, ...], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[Record | BadRow]:
    empty = True
    for line, fields in rows:
        empty = False
        if len(fields) == len(columns):
            yield Record(line, dict(zip(columns, fields, strict=True)))
        else:
            count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
            yield BadRow(line, f"{count} where the header has {len(columns)}", line)
    if empty:
        raise DataError(f"{path} holds a header and no rows; give a file with rows in it.")


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not blank, with the line where it begins."""
    fed: list[int] = []  # the lines that the reader took for the record at hand

    def pieces() -> Iterator[str]:
        for number, piece in _pieces(path):
            fed.append(number)
            yield piece

    reader = csv.reader(pieces(), delimiter=delimiter, strict=True)
    while True:
        fed.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(_broken_quoting(path, fed[0], fed[-1], error)) from None
        if _is_row(fields):
            yield fed[0], fields


def _pieces(path: Path) -> Iterator[tuple[int, str]]:
    # A record ends at \n, \r\n or \r (csv.reader insists), while line numbers count as editors do.
    return ((number, piece) for number, line in text_lines(path) for piece in PIECE.findall(line))


def _is_row(fields: list[str]) -> bool:
    return len(fields) > 1 or (bool(fields) and not is_blank(fields[0]))


def _broken_quoting(path: Path, begins: int, breaks: int, error: csv.Error) -> str:
    remedy = 'close it, and write a quote that belongs to the text twice ("").'
    if "end of data" in str(error):
        return f"{path}, line {begins}: a quote opened in the row that begins here is never closed; {remedy}"
    return (
        f"{path}, line {breaks}: the quoting of the row that begins at line {begins} breaks ({error}); "
        f"find the quote that is not closed, {remedy}"
    )
