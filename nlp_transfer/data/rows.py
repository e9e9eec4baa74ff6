"""The rows of one file or split, and their fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import datasets

from nlp_transfer.data.row_store import rows_of


@dataclass(frozen=True)
class Rows:
    """What one file or split holds, and what had to be left out.

    `data` has the columns text and label (classification; of pairs text_pair as well) or words and tags (NER), and
    line: the line of the file where the row begins, or the number of the row where `unit` is "row", or of the file
    where it is "file". A label is a string, a list of strings where a text has several, or a float
    (`labels.problem_of`). `columns` maps each role to its column of the file, `file_columns` are all that there are.
    `skipped` are the rows that could not be used, `left_out` those that somebody has taken out, as an annotator who
    rejected them. `notes` report how it was read where that was not obvious, and `misaligned` has a line for each span
    of characters that was widened or left out, or that its row was left out for.
    """

    data: datasets.Dataset
    source: str
    skipped: tuple[int | str, ...]
    columns: Mapping[str, str]
    sha256: str
    unit: str = "line"
    file_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    misaligned: tuple[str, ...] = ()
    left_out: tuple[int | str, ...] = ()

    @property
    def has_labels(self) -> bool:
        """Whether the rows have labels, or tags; those of a competition's test may have none."""
        return "label" in self.data.column_names or "tags" in self.data.column_names


def fingerprint(data: datasets.Dataset) -> str:
    """The SHA-256 of the rows' content; the same rows from another file form have the same one."""
    digest = hashlib.sha256()
    for row in rows_of(data, *(name for name in data.column_names if name != "line")):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()
