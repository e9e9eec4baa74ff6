"""Rows that a run keeps, so that another form of its model can be compared with it later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from nlp_transfer.errors import DataError
from nlp_transfer.heads import TaskHead

REFERENCE_FILE = "reference_rows.jsonl"

_MOST_ROWS = 512
_MOST_BYTES = 1_000_000
_COLUMNS = ("text", "text_pair", "words", "label", "tags")


@dataclass(frozen=True)
class ReferenceRows:
    """Texts as `predict` takes them, their gold answers as `TaskHead.score` takes them, and where they are from."""

    texts: Sequence[Any]
    references: Sequence[Any]
    source: str

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], head: TaskHead, source: str) -> ReferenceRows:
        """The rows of columns of texts, pairs or words, and of their labels or tags."""
        if "words" in columns:
            texts: Sequence[Any] = list(map(list, columns["words"]))
        elif "text_pair" in columns:
            texts = list(zip(columns["text"], columns["text_pair"], strict=True))
        else:
            texts = list(columns["text"])
        references = head.references(columns)
        head.targets(references)  # which knows the labels
        return cls(texts, references, source)


def write_reference_rows(path: Path, rows: Dataset) -> None:
    """Write up to 512 rows, spread over all, or as many as take a megabyte: their texts and gold answers."""
    places = np.unique(np.linspace(0, len(rows) - 1, _MOST_ROWS).round().astype(int)).tolist()
    names = [name for name in _COLUMNS if name in rows.column_names]
    room = _MOST_BYTES
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        for row in rows.select(places).select_columns(names):
            line = json.dumps(row, ensure_ascii=False) + "\n"
            room -= len(line)
            if room < 0:
                return
            file.write(line)


def read_reference_rows(path: Path, head: TaskHead) -> ReferenceRows:
    """The rows that `write_reference_rows` wrote. Raises DataError for a file that is damaged, or holds none."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        columns = {name: [line[name] for line in lines] for name in lines[0]}
        return ReferenceRows.of(columns, head, "the kept rows of the run")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path} is damaged; name rows with --validation_file.") from error
