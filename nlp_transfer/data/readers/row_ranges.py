"""Files cut into ranges of rows, so that many workers read one file without reading what is before their rows."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pc  # type: ignore[import-untyped]
import pyarrow.json as pj  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from nlp_transfer.errors import DataError

_READ_AT_ONCE = 4096  # rows
_BYTES_OF_A_RANGE = 64 << 20  # long documents make shorter ranges: a range of lines is held in memory
_BYTES_OF_A_ROW = 16 << 20
_BLOCK = 1 << 20  # of JSON, by which its types are inferred; a row may be longer


@dataclass(frozen=True)
class RowRange:
    """`rows` rows of a file, from row `first` on, counted from 0; of a file of lines the bytes `begin` to `end`."""

    path: str
    first: int
    rows: int
    begin: int = 0
    end: int = 0


@dataclass(frozen=True)
class Layout:
    """How the files are written: the delimiter of CSV, or None to infer that of each file, and how quotes are meant.

    `schema` is that of JSON lines, as Arrow writes it: the types that the first rows have.
    """

    delimiter: str | None = None
    quotes: bool = True
    schema: bytes | None = None


def row_ranges(path: Path, most: int, layout: Layout) -> Iterator[RowRange]:
    """The ranges of a file, of up to `most` rows. Raises DataError for a form that cannot be cut, or a broken file."""
    return _form(path).ranges(path, most, layout)


def read_range(part: RowRange, layout: Layout) -> Iterator[pa.Table]:
    """The rows of a range, some thousand at a time; those of CSV as strings. Raises DataError."""
    path = Path(part.path)
    try:
        yield from _form(path).read(path, part, layout)
    except (pa.ArrowException, OSError) as error:
        first = " ".join(str(error).split())[:300]
        raise DataError(f"{path}, rows {part.first + 1:,} to {part.first + part.rows:,}: {first}.") from error


def json_schema(path: Path) -> bytes | None:
    """The types of JSON lines by the first of them, for `Layout`; None for a file of another form."""
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        return None
    with open(path, "rb") as file:
        block = file.read(_BLOCK)
        block += file.readline(_BYTES_OF_A_ROW)
    if not block.strip():
        raise DataError(f"{path} is empty.")
    try:
        table = pj.read_json(io.BytesIO(block), read_options=pj.ReadOptions(block_size=len(block) + 1))
    except pa.ArrowException as error:
        raise DataError(f"{path}: {' '.join(str(error).split())[:300]}.") from error
    # What is empty in all of the first rows is a text, if anything: most columns are.
    fields = [(field.name, pa.string() if pa.types.is_null(field.type) else field.type) for field in table.schema]
    return bytes(pa.schema(fields).serialize())


@dataclass(frozen=True)
class _Form:
    ranges: Callable[[Path, int, Layout], Iterator[RowRange]]
    read: Callable[[Path, RowRange, Layout], Iterator[pa.Table]]


def _form(path: Path) -> _Form:
    if path.suffix.lower() not in _FORMS:
        raise DataError(
            f"{path}: it cannot be cut into parts; give Parquet, CSV, TSV or JSONL, not compressed as a whole."
        )
    return _FORMS[path.suffix.lower()]


def _parquet_ranges(path: Path, most: int, layout: Layout) -> Iterator[RowRange]:
    try:
        count = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())[:300]}.") from error
    for first in range(0, count, most):
        yield RowRange(str(path), first, min(most, count - first))


def _read_parquet(path: Path, part: RowRange, layout: Layout) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        groups, before, start = [], 0, None
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if before < part.first + part.rows and before + rows > part.first:
                start = before if start is None else start
                groups.append(group)
            before += rows
        at = start or 0
        for batch in file.iter_batches(_READ_AT_ONCE, row_groups=groups) if groups else ():
            low, high = max(part.first - at, 0), min(part.first + part.rows - at, batch.num_rows)
            at += batch.num_rows
            if low < high:
                yield pa.Table.from_batches([batch.slice(low, high - low)])


def _line_ranges(path: Path, most: int, complete: Callable[[bytes], Any], header: bool) -> Iterator[RowRange]:
    """Ranges of records, each of which is a line, or several up to one where `complete` holds of them."""
    first = rows = at = begin = 0
    pending = b""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            at += len(line)
            pending = pending + line if pending else line
            if not complete(pending):
                if len(pending) > _BYTES_OF_A_ROW:
                    raise DataError(
                        f"{path}: a quote is not closed for {_BYTES_OF_A_ROW >> 20} MB before line {number}."
                    )
                continue
            is_row, pending = bool(pending.strip()), b""
            if header and is_row:
                header, begin = False, at
                continue
            rows += is_row
            if rows == most or at - begin > _BYTES_OF_A_RANGE:
                yield RowRange(str(path), first, rows, begin, at)
                first, rows, begin = first + rows, 0, at
    if pending.strip():
        raise DataError(
            f"{path}: a quote is opened that is never closed; if quotes belong to the texts, give --quoting none."
        )
    if rows:
        yield RowRange(str(path), first, rows, begin, at)


def _csv_ranges(path: Path, most: int, layout: Layout) -> Iterator[RowRange]:
    if not layout.quotes:
        return _line_ranges(path, most, lambda line: True, header=True)
    mark = re.escape(str(layout.delimiter).encode())
    field = rb'(?:"(?:[^"]|"")*+"[^%b\n]*|(?!")[^%b\n]*)' % (mark, mark)
    record = re.compile(rb"(?:\xef\xbb\xbf)?%b(?:%b%b)*\r?\n?" % (field, mark, field))
    return _line_ranges(path, most, lambda text: b'"' not in text or record.fullmatch(text), header=True)


def _read_csv(path: Path, part: RowRange, layout: Layout) -> Iterator[pa.Table]:
    options = pc.ParseOptions(
        delimiter=layout.delimiter, quote_char='"' if layout.quotes else False, newlines_in_values=layout.quotes
    )
    with open(path, "rb") as file:
        first = next(iter(_csv_ranges(path, 1, layout)))
        header = file.read(first.begin)
        file.seek(part.begin)
        rows = file.read(part.end - part.begin)
    reading = pc.ReadOptions(use_threads=False, block_size=len(header) + 1)
    names = pc.read_csv(io.BytesIO(header), reading, options).column_names
    table = pc.read_csv(
        io.BytesIO(rows),
        pc.ReadOptions(use_threads=False, column_names=names, block_size=len(rows) + 1),
        options,
        # Types that are inferred would differ between ranges, and numbers lose what is written before them: 007.
        pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    yield from _counted(table, part)


def _json_ranges(path: Path, most: int, layout: Layout) -> Iterator[RowRange]:
    return _line_ranges(path, most, lambda line: True, header=False)


def _read_json(path: Path, part: RowRange, layout: Layout) -> Iterator[pa.Table]:
    assert layout.schema is not None, "json_schema gives it"
    schema = pa.ipc.read_schema(pa.py_buffer(layout.schema))
    with open(path, "rb") as file:
        file.seek(part.begin)
        rows = file.read(part.end - part.begin)
    table = pj.read_json(
        io.BytesIO(rows),
        pj.ReadOptions(use_threads=False, block_size=len(rows) + 1),
        pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    yield from _counted(table, part)


def _counted(table: pa.Table, part: RowRange) -> Iterator[pa.Table]:
    """The rows in slices; DataError where they are not as many as the range has, which no row may be lost by."""
    if table.num_rows != part.rows:
        raise DataError(
            f"{part.path}, rows {part.first + 1:,} to {part.first + part.rows:,}: {table.num_rows:,} rows were read of "
            "them; write the file as Parquet, or mend its quotes."
        )
    for start in range(0, table.num_rows, _READ_AT_ONCE):
        yield table.slice(start, _READ_AT_ONCE)


_CSV, _JSON = _Form(_csv_ranges, _read_csv), _Form(_json_ranges, _read_json)
_FORMS = {
    ".parquet": _Form(_parquet_ranges, _read_parquet), ".csv": _CSV, ".tsv": _CSV, ".jsonl": _JSON, ".ndjson": _JSON,
}  # fmt: skip
