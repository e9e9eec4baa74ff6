"""Lines of plain text files."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlp_transfer.data.readers.compressed import raw_lines
from nlp_transfer.data.readers.records import Record, Table
from nlp_transfer.errors import DataError

PIECE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line with its end as editors see it: \\n, \\r\\n or \\r."""


def lines_table(path: Path) -> Table:
    """One text a line; blank lines are none."""

    def records(wanted: Sequence[str]) -> Iterator[Record]:
        for number, line in text_lines(path):
            if not is_blank(line):
                yield Record(number, {"text": line.strip()})

    return Table(("text",), records)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers and their ends; DataError on other encodings and on NUL bytes."""
    for number, raw in enumerate(raw_lines(path), start=1):
        if number == 1:
            _refuse_utf16(path, raw)
            _refuse_packed(path, raw)
            raw = raw.removeprefix(codecs.BOM_UTF8)
        line = _decoded(path, number, raw)
        if number == 1 and "\r" in line and "\n" not in line:  # old Mac: the whole file came as one line
            yield from enumerate(PIECE.findall(line), start=1)
        else:
            yield number, line


def is_blank(line: str) -> bool:
    """Whether a line holds nothing but white space; files that were joined may keep a byte order mark inside."""
    return not line.strip().strip("\ufeff")


def _refuse_utf16(path: Path, raw: bytes) -> None:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}, line 1: the file is UTF-16, not UTF-8; {_iconv(path, 'UTF-16')}")


_PACKED = {b"PK\x03\x04": "a zip archive, as workbooks of Excel are", b"\x1f\x8b": "compressed (gzip)"}


def _refuse_packed(path: Path, raw: bytes) -> None:
    for start, what in _PACKED.items():
        if raw.startswith(start):
            raise DataError(f"{path} is {what}, and no text; give it the suffix of what it is, or unpack it.")


def _decoded(path: Path, number: int, raw: bytes) -> str:
    if b"\0" in raw:
        raise DataError(
            f"{path}, line {number}: a NUL byte: the file is not plain text; if it is UTF-16, "
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
