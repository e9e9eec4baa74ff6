"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nlp_transfer.config.option_fields import QUOTINGS
from nlp_transfer.data.readers.compressed import form_of
from nlp_transfer.data.readers.quoting import LineCounts
from nlp_transfer.data.readers.records import BadRow, Record, Table, refuse_repeats
from nlp_transfer.data.readers.text_lines import PIECE, is_blank, text_lines
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.system.text import cut

_NAMES = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar", " ": "a blank"}
_BY_NAME = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "pipe": "|", "space": " "}
_MARKS = ",\t;|"  # those that are detected
_SNIFFED = 200  # rows by which the delimiter is detected
_SEP = re.compile(r'"?sep=(.|\\t)"?[\r\n]*')  # by which Excel tells itself


def delimiter_named(name: str) -> str:
    """The character that a user calls `name`: itself, or comma, tab, semicolon, pipe or space. OptionError if unknown.

    >>> delimiter_named("tab")
    '\\t'
    """
    delimiter = _BY_NAME.get(name.lower(), name)
    if len(delimiter) != 1 or delimiter in '\r\n"' or "\ud800" <= delimiter <= "\udfff":
        raise OptionError(f"--delimiter must be one character, or {', '.join(_BY_NAME)}; got {name!r}.")
    return delimiter


def csv_table(
    path: Path, delimiter: str | None = None, quoting: str | None = None, no_header: bool | None = None
) -> Table:
    """Delimited rows under a header, quoted as RFC 4180 says.

    The delimiter is the one given; else that of a first line `sep=;`, as Excel writes it; else that of the suffix, a
    tab in a .tsv and a comma elsewhere, unless the first rows are of one width only under another one, which the notes
    report. With `quoting` "none" quotes are characters as others are; without one, a file whose quotes may be either is
    refused (DataError). With `no_header` the columns are called 0, 1, 2.
    """
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long documents
    if quoting not in (None, *QUOTINGS):
        raise OptionError(f"--quoting must be {' or '.join(QUOTINGS)}; got {quoting}.")
    usual, named = _usual(path), _named_by_excel(path)
    chosen = delimiter_of(path, delimiter, quoting)
    manner = _manner(path, chosen, quoting)
    rows = _csv_rows(path, chosen, manner, skipped=1 if named else 0)
    line, header, pieces = next(rows, (0, [], []))
    if not header:
        raise DataError(f"{path} is empty; give a file with a header and rows.")
    counts = LineCounts(path, chosen, len(header))
    if no_header:
        columns = tuple(map(str, range(len(header))))
        hint = f"They are numbers, for --no_header; the first row has {_numbered(header)}"
        rows = itertools.chain([(line, header, pieces)], rows)
    else:
        columns = tuple(name.strip() for name in header)
        first = list(itertools.islice(rows, _SNIFFED))
        rows = itertools.chain(first, rows)
        hint = row_like(columns, [fields for _, fields, _ in first])
        counts.header(pieces)
        refuse_repeats(path, [name for name in columns if name], hint)
    notes = []
    if chosen != usual and not delimiter:
        notes.append(f"{path}: columns are separated by {_NAMES.get(chosen, repr(chosen))}: {', '.join(columns)}.")
    if "escapechar" in manner:
        notes.append(f'{path}: quotes within fields are written as \\".')

    def records(wanted: object) -> Iterator[Record | BadRow]:
        yield from _csv_records(path, columns, rows, counts)
        if quoting is None:
            counts.refuse()

    return Table(columns, records, notes=tuple(notes), remarks=counts.remarks, about_columns=hint)


def delimiter_of(path: Path, given: str | None = None, quoting: str | None = None) -> str:
    """The delimiter of a file as `csv_table` has it. Raises OptionError for one that none can be."""
    if given:
        return delimiter_named(given)
    return _named_by_excel(path) or _sniffed(path, _usual(path), quoting)


def _usual(path: Path) -> str:
    return "\t" if form_of(path) == ".tsv" else ","


def _numbered(fields: list[str]) -> str:
    return ", ".join(f"{number}: {cut(field, 30)!r}" for number, field in enumerate(fields[:12]))


def row_like(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    """A hint where a header reads like a row: a number, a sentence, or what its column holds, is among its names."""
    held = [set(cells) for cells in itertools.zip_longest(*rows)]
    odd = [
        name
        for name, cells in zip(columns, [*held, *[set()] * len(columns)], strict=False)
        if re.fullmatch(r"[-+]?\d+([.,]\d+)?", name) or len(name.split()) > 4 or name in cells
    ]
    if not odd:
        return ""
    return (
        f"Its first line reads like a row ({cut(odd[-1], 40)!r}): --no_header takes it as one, and numbers the columns"
    )


class _Fit(NamedTuple):
    """How well a delimiter fits the first rows, the best one being the greatest."""

    parts: bool  # into two columns or more, most rows as many as the header
    share: float  # of rows that have as many fields as the header
    alone: bool  # no field of the header holds another delimiter
    columns: int
    is_usual: bool


def _named_by_excel(path: Path) -> str | None:
    first = next((piece for _, piece in _pieces(path)), "")
    match = _SEP.fullmatch(first)
    return delimiter_named(match[1]) if match else None


def _sniffed(path: Path, usual: str, quoting: str | None) -> str:
    # A wrong guess loses no row in silence: rows of another width than the header are bad rows, under any delimiter.
    sample = [piece for _, piece in itertools.islice(_pieces(path), 5 * _SNIFFED)]
    fits = {mark: _fit(sample, mark, mark == usual, quoting) for mark in _MARKS}
    there = [mark for mark in _MARKS if mark == usual or fits[mark].columns > 1]
    return max(there, key=lambda mark: fits[mark])


def _manner(path: Path, delimiter: str, quoting: str | None) -> dict[str, Any]:
    """How quotes are written, as keywords of csv.reader: with backslashes, or after blanks, where nothing else fits."""
    plain = _quoted(quoting)
    if quoting == "none":
        return plain
    sample = [piece for _, piece in itertools.islice(_pieces(path), 5 * _SNIFFED)]
    if any('\\"' in piece for piece in sample):
        escaped = plain | {"escapechar": "\\", "doublequote": False}
        if _widths(sample, delimiter, plain) is None and len(_widths(sample, delimiter, escaped) or "no") == 1:
            return escaped
    after_blank = re.compile(rf'(^|{re.escape(delimiter)}) +"[^"]*"(?={re.escape(delimiter)}|[\r\n]*$)')
    with_quotes = [piece for piece in sample if '"' in piece]
    if with_quotes and 2 * sum(bool(after_blank.search(piece)) for piece in with_quotes) > len(with_quotes):
        return plain | {"skipinitialspace": True}
    return plain


def _quoted(quoting: str | None) -> dict[str, Any]:
    return {"quoting": csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL}


def _widths(sample: list[str], delimiter: str, manner: dict[str, Any]) -> set[int] | None:
    """How many fields rows have; None where a quote breaks."""
    widths: set[int] = set()
    try:
        widths.update(len(fields) for fields in filter(_is_row, _reader(iter(sample), delimiter, manner)))
    except csv.Error as error:
        return None if "end of data" not in str(error) else widths  # else a row that continues after the sample
    return widths


def _fit(sample: list[str], delimiter: str, is_usual: bool, quoting: str | None) -> _Fit:
    rows = []
    try:
        for fields in filter(_is_row, _reader(iter(sample), delimiter, _quoted(quoting))):
            rows.append(fields)
    except csv.Error as error:
        if "end of data" not in str(error):  # else a row that continues after the sample
            return _Fit(False, 0.0, False, len(rows[0]) if rows else 0, is_usual)
    header, rest = (rows[0], rows[1 : _SNIFFED + 1]) if rows else ([], [])
    share = sum(len(row) == len(header) for row in rest) / len(rest) if rest else 1.0
    alone = not any(mark in name for name in header for mark in _MARKS)
    return _Fit(len(header) > 1 and share >= 0.5, share, alone, len(header), is_usual)


def _csv_records(
    path: Path, columns: tuple[str, ...], rows: Iterator[tuple[int, list[str], list[str]]], counts: LineCounts
) -> Iterator[Record | BadRow]:
    for line, fields, pieces in rows:
        counts.add(line, pieces, is_row=_is_row(fields))
        if not _is_row(fields):
            continue
        if tuple(name.strip() for name in fields) == columns and len(columns) > 1:  # files that were put together
            yield BadRow(line, "the header again", line, is_meant=True)
        elif len(fields) == len(columns):
            yield Record(line, dict(zip(columns, fields, strict=True)))
        else:
            count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
            yield BadRow(line, f"{count} where the header has {len(columns)}", line)
    if not counts.rows:
        raise DataError(f"{path} holds a header and no rows; give a file with rows in it.")


def _csv_rows(
    path: Path, delimiter: str, manner: dict[str, Any], skipped: int
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Every record with the line where it begins, and the lines that it takes; before the header none that is blank."""
    numbers: list[int] = []
    taken: list[str] = []  # by the reader, for the record at hand

    def pieces() -> Iterator[str]:
        for number, piece in itertools.islice(_pieces(path), skipped, None):
            numbers.append(number)
            taken.append(piece)
            yield piece

    reader = _reader(pieces(), delimiter, manner)
    has_begun = False
    while True:
        numbers.clear()
        taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(_broken_quoting(path, numbers[0], numbers[-1], error)) from None
        has_begun = has_begun or _is_row(fields)
        if has_begun:
            yield numbers[0], fields, list(taken)


def _reader(pieces: Iterator[str], delimiter: str, manner: dict[str, Any]) -> Iterator[list[str]]:
    return csv.reader(pieces, delimiter=delimiter, strict=True, **manner)


def _pieces(path: Path) -> Iterator[tuple[int, str]]:
    # A record ends at \n, \r\n or \r (csv.reader insists), while line numbers count as editors do.
    return ((number, piece) for number, line in text_lines(path) for piece in PIECE.findall(line))


def _is_row(fields: list[str]) -> bool:
    return len(fields) > 1 or (bool(fields) and not is_blank(fields[0]))


def _broken_quoting(path: Path, begins: int, breaks: int, error: csv.Error) -> str:
    remedy = (
        'close it, and write a quote that belongs to the text twice (""); '
        "or give --quoting none if all quotes belong to the texts."
    )
    if "end of data" in str(error):
        return f"{path}, line {begins}: a quote opened in the row that begins here is never closed; {remedy}"
    return (
        f"{path}, line {breaks}: the quoting of the row that begins at line {begins} breaks ({error}); "
        f"find the quote that is not closed, {remedy}"
    )
