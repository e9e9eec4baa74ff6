"""What rows does a file of each form hold?"""

from __future__ import annotations

import codecs
import csv
import difflib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from nlp_transfer.data.store import SLICE
from nlp_transfer.errors import DataError


class Record(NamedTuple):
    """A row as the file has it; `line` is the line where it begins, or its number where the form has no lines."""

    line: int
    values: Mapping[str, Any]


class BadRow(NamedTuple):
    """A row that cannot be used; `fault` completes "a row with ...", `at` is the line to look at."""

    line: int
    fault: str
    at: int


@dataclass(frozen=True)
class Table:
    """What a file or hub data set holds; `records(columns)` may be read once, and yields at least those columns."""

    columns: tuple[str, ...]
    records: Callable[[Sequence[str]], Iterator[Record | BadRow]]
    unit: str = "line"


def open_table(path: str | os.PathLike[str], forms: Mapping[str, Callable[[Path], Table]]) -> Table:
    """Open a file by its suffix, `forms` giving the suffixes and their readers; DataError if there is no such file."""
    path = Path(path)
    require_file(path)
    if path.suffix.lower() not in forms:
        suffix = f"the suffix '{path.suffix}' is" if path.suffix else "a name without a suffix is"
        raise DataError(f"{path}: {suffix} not one that is read here; the forms known are {', '.join(forms)}.")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read by you; give yourself the right with: chmod u+r '{path}'")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; give a file with rows in it.")
    return forms[path.suffix.lower()](path)


def require_file(path: Path) -> None:
    """DataError unless there is such a file."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file in it.")
    if not path.exists():
        raise DataError(f"{path} does not exist; {_nearest_file(path)}")


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"nor does its folder {path.parent}: check the path."
    near = difflib.get_close_matches(path.name, sorted(os.listdir(path.parent)), n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path."


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers and their ends; DataError on other encodings and on NUL bytes."""
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            if number == 1:
                _refuse_utf16(path, raw)
                raw = raw.removeprefix(codecs.BOM_UTF8)
            line = _decoded(path, number, raw)
            if number == 1 and "\r" in line and "\n" not in line:  # old Mac: the whole file came as one line
                yield from enumerate(_PIECE.findall(line), start=1)
            else:
                yield number, line


def is_blank(line: str) -> bool:
    """Whether a line holds nothing but white space; files that were joined may keep a byte order mark inside."""
    return not line.strip().strip("\ufeff")


def _refuse_utf16(path: Path, raw: bytes) -> None:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}, line 1: the file is UTF-16, not UTF-8; {_iconv(path, 'UTF-16')}")


def _decoded(path: Path, number: int, raw: bytes) -> str:
    if b"\0" in raw:
        raise DataError(
            f"{path}, line {number}: a NUL byte, so this is no plain text; if it is UTF-16, "
            f"{_iconv(path, 'UTF-16LE')} Otherwise remove them with: tr -d '\\000'"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise DataError(
            f"{path}, line {number}: byte {error.start + 1} of the line (0x{byte:02x}) is not UTF-8; "
            f"{_iconv(path, 'WINDOWS-1252')}"
        ) from None


def _iconv(path: Path, encoding: str) -> str:
    target = path.with_name(f"{path.stem}-utf8{path.suffix}")
    return f"convert it, for example with: iconv -f {encoding} -t UTF-8 '{path}' > '{target}'"


def csv_table(path: Path) -> Table:
    """Comma-separated (or, in a .tsv, tab-separated) rows under a header, quoted as RFC 4180 says."""
    rows = _csv_rows(path, "\t" if path.suffix.lower() == ".tsv" else ",")
    _, header = next(rows, (0, []))
    columns = tuple(name.strip() for name in header)
    if not columns:
        raise DataError(f"{path} is empty; give a file with a header and rows.")
    refuse_repeats(path, [name for name in columns if name])
    return Table(columns, lambda wanted: _csv_records(path, columns, rows))


def _csv_records(
    path: Path, columns: tuple[str, ...], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[Record | BadRow]:
    empty = True
    for line, fields in rows:
        empty = False
        if len(fields) == len(columns):
            yield Record(line, dict(zip(columns, fields, strict=True)))
        else:
            found = f"{len(fields)} field{'s' * (len(fields) != 1)}"
            yield BadRow(line, f"{found} where the header has {len(columns)}", line)
    if empty:
        raise DataError(f"{path} holds a header and no rows; give a file with rows in it.")


# A record ends at \n, \r\n or \r (csv.reader insists), while line numbers count as editors do.
_PIECE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not blank, with the line where it begins."""
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long documents
    fed: list[int] = []  # the lines that the reader took for the record at hand

    def pieces() -> Iterator[str]:
        for number, line in text_lines(path):
            for piece in _PIECE.findall(line):
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
        if len(fields) > 1 or (fields and not is_blank(fields[0])):
            yield fed[0], fields


def _broken_quoting(path: Path, begins: int, breaks: int, error: csv.Error) -> str:
    remedy = 'close it, and write a quote that belongs to the text twice ("").'
    if "end of data" in str(error):
        return f"{path}, line {begins}: a quote opened in the row that begins here is never closed; {remedy}"
    return (
        f"{path}, line {breaks}: the quoting of the row that begins at line {begins} breaks ({error}); "
        f"find the quote that is not closed, {remedy}"
    )


def jsonl_table(path: Path) -> Table:
    """One JSON object a line."""

    def records() -> Iterator[Record | BadRow]:
        for number, line in text_lines(path):
            if is_blank(line):
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                yield BadRow(number, f"broken JSON ({error.msg}, character {error.colno})", number)
            except (ValueError, RecursionError) as error:
                yield BadRow(number, f"broken JSON ({error})", number)
            else:
                yield _object(number, value)

    return _table_of_objects(records(), unit="line")


def json_table(path: Path) -> Table:
    """A list of JSON objects, bare or as the one list of objects in an object; or, whatever its name, JSON lines."""
    text = "".join(line for _, line in text_lines(path))
    if is_blank(text):
        raise DataError(f"{path} is empty; give a file with rows in it.")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return jsonl_table(path)
        place = f"{path}, line {error.lineno}"
        raise DataError(f"{place}: broken JSON ({error.msg}, character {error.colno}); mend that line.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is broken JSON ({error}); write it as a list of objects, one a row.") from None
    rows = enumerate(_list_of_objects(path, value), start=1)
    return _table_of_objects(itertools.starmap(_object, rows), unit="row")


def _list_of_objects(path: Path, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    fields = value if isinstance(value, dict) else {}
    lists = [k for k, v in fields.items() if isinstance(v, list) and (not v or any(isinstance(x, dict) for x in v))]
    if len(lists) == 1:
        return fields[lists[0]]
    found = f"{len(lists)} lists of objects ({', '.join(lists)})" if lists else "no list of objects"
    raise DataError(f"{path} holds {found}; write its rows as one list of objects, or one object a line in a .jsonl.")


def _object(number: int, value: Any) -> Record | BadRow:
    if isinstance(value, dict):
        return Record(number, value)
    return BadRow(number, "JSON that is not an object {...}", number)


def _table_of_objects(records: Iterator[Record | BadRow], unit: str) -> Table:
    # The first rows name the columns: any one of them may lack a field.
    head = list(itertools.islice(records, 100))
    columns = dict.fromkeys(name for row in head if isinstance(row, Record) for name in row.values)
    return Table(tuple(columns), lambda wanted: itertools.chain(head, records), unit)


def lines_table(path: Path) -> Table:
    """One text a line; blank lines are none."""

    def records(wanted: Sequence[str]) -> Iterator[Record]:
        for number, line in text_lines(path):
            if not is_blank(line):
                yield Record(number, {"text": line.strip()})

    return Table(("text",), records)


def parquet_table(path: Path) -> Table:
    """A Parquet file; class labels saved by `datasets` come as their names."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(_damaged(path, error)) from None
    schema = file.schema_arrow
    refuse_repeats(path, schema.names)
    ours = b"huggingface" in (schema.metadata or {})
    features = datasets.Features.from_arrow_schema(schema) if ours else {}

    def rows(wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
        try:
            for batch in file.iter_batches(SLICE, columns=list(wanted)):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError(_damaged(path, error)) from None

    return Table(tuple(schema.names), lambda wanted: _numbered(rows(wanted), wanted, features), unit="row")


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is damaged or not Parquet ({str(error).splitlines()[0]}); copy or write it again."


def hub_table(data: datasets.Dataset) -> Table:
    """A data set that `datasets` has loaded; class labels come as their names."""
    columns = tuple(data.column_names)
    return Table(
        columns, lambda wanted: _numbered(data.select_columns(list(wanted)), wanted, data.features), unit="row"
    )


def _numbered(
    rows: Iterable[Mapping[str, Any]], wanted: Sequence[str], features: Mapping[str, Any]
) -> Iterator[Record]:
    decoders = {name: _decoder(features.get(name)) for name in wanted}
    for number, row in enumerate(rows, start=1):
        yield Record(number, {name: decode(row[name]) for name, decode in decoders.items()})


def _decoder(feature: Any) -> Callable[[Any], Any]:
    """What turns stored values into what they stand for: ids of a ClassLabel, in sequences too, into names."""
    if isinstance(feature, datasets.ClassLabel):
        return lambda value: feature.names[value] if isinstance(value, int) and value >= 0 else None  # -1: unlabelled
    inner = getattr(feature, "feature", None)
    if isinstance(inner, datasets.ClassLabel):
        name = _decoder(inner)
        return lambda values: None if values is None else [name(value) for value in values]
    return lambda value: value


def refuse_repeats(path: Path, columns: Sequence[str]) -> None:
    """DataError where two columns have one name."""
    repeats = sorted({name for name in columns if columns.count(name) > 1})
    if repeats:
        raise DataError(f"{path}, line 1: column names repeat: {', '.join(repeats)}; give every column its own name.")
