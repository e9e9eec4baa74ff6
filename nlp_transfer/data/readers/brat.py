"""Texts and entities of a folder of brat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.text_folders import whole_text
from nlp_transfer.data.readers.text_lines import is_blank, text_lines
from nlp_transfer.errors import DataError

_ENTITY = re.compile(r"T\S*\t(\S+) (\d{1,18} \d{1,18}(?:;\d{1,18} \d{1,18})*)(?:\t(.*))?")
_OTHERS = re.compile(r"[REAMN#*]")  # relations, events, attributes, normalizations, notes, equivalences


def annotated_folder(folder: Path) -> Table:
    """Documents of brat, `NAME.txt` beside `NAME.ann`, in a folder and the folders in it.

    A row is a document: its text as the file has it, without a byte order mark, and its entities as objects of start,
    end, label, text and parts. A file without its counterpart, and an `.ann` with a line that is none, are bad rows.
    """
    paths = [path for path in folder.rglob("*") if path.suffix in (".txt", ".ann") and path.is_file()]
    if not any(path.suffix == ".ann" for path in paths):
        raise DataError(
            f"{folder} is a folder that holds no .ann files of brat, nor a data set saved by datasets; "
            "give a file in it."
        )

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for number, stem in enumerate(sorted({path.with_suffix("") for path in paths}), start=1):
            yield _document(number, folder, *(stem.parent / f"{stem.name}{suffix}" for suffix in (".txt", ".ann")))

    return Table(
        ("text", "spans", "file"),
        records,
        "file",
        (f"{folder}: texts with character spans of brat (.txt, .ann); their words are cut from the text.",),
    )


def _document(number: int, folder: Path, text: Path, annotations: Path) -> Record | BadRow:
    for path, other in ((text, annotations), (annotations, text)):
        if not path.is_file():
            return BadRow(number, f"no {path.suffix} beside it", other.relative_to(folder).as_posix())
    file = text.relative_to(folder).as_posix()
    spans: list[dict[str, Any]] = []
    for line_number, line in text_lines(annotations):
        match = _ENTITY.fullmatch(line.rstrip("\r\n"))
        if match:
            borders = [int(offset) for part in match[2].split(";") for offset in part.split()]
            spans.append(
                {
                    "start": borders[0],
                    "end": borders[-1],
                    "label": match[1],
                    "text": match[3],
                    "parts": len(borders) // 2,
                }
            )
        elif not _OTHERS.match(line) and not is_blank(line):
            place = f"{annotations.relative_to(folder).as_posix()}, line {line_number}"
            return BadRow(number, "a line that is no annotation of brat", place)
    return Record(number, {"text": whole_text(text), "spans": spans, "file": file}, file)
