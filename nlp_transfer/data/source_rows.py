"""The rows of a source of replay: texts with labels, sentences with tags, or raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import datasets

from nlp_transfer.data.label_check import check_labels, check_tags
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.readers import open_table
from nlp_transfer.data.readers.columns import LABEL
from nlp_transfer.data.readers.compressed import form_of
from nlp_transfer.data.readers.delimited_words import holds_table
from nlp_transfer.data.readers.reader_registry import suffixes_for
from nlp_transfer.data.readers.tagged_tables import shows_tags
from nlp_transfer.data.row_store import batched, counted, stored
from nlp_transfer.data.rows import Rows, fingerprint
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import DataError

Kind = Literal["labels", "tags", "text"]

_IN_WORDS_OF_A_SOURCE = {
    "--text_column_name": "--source_text_column_name",
    "--label_column_name": "--source_label_column_name",
    ", or leave them out with --skip_bad_rows": "",
    LABEL.instead: "",
}


def read_source(
    path: str, text_column: str | None = None, label_column: str | None = None, *, beside_tags: bool = False
) -> tuple[Rows, Kind]:
    """Read and check the rows of a source, and return their kind with them. Raises DataError.

    A `.txt` is raw text, one text a line. What else has words in lists or texts with spans of characters, or is a CoNLL
    file, is tagged; `beside_tags`, for a target with tags, means that a `.tsv` or a folder is too.

    >>> rows, kind = read_source("reviews.jsonl")
    """
    try:
        if form_of(Path(path)) == ".txt":
            return _raw_text(path), "text"
        if is_tagged(path, text_column, beside_tags):
            rows = read_tagged(path, text_column, label_column)
            check_tags(Splits(rows, None, None))
            return rows, "tags"
        rows = read_classification(path, text_column, label_column)
        check_labels(Splits(rows, None, None))
        return rows, "labels"
    except DataError as error:
        line = str(error)
        for ours, theirs in _IN_WORDS_OF_A_SOURCE.items():
            line = line.replace(ours, theirs)
        raise DataError(line) from error


def _raw_text(path: str) -> Rows:
    records = counted(f"reading {Path(path).name}", rows=open_table(path, "prediction").records(("text",)))
    data = stored(
        ({"text": [r.values["text"] for r in some], "line": [r.line for r in some]} for some in batched(records)),
        datasets.Features({"text": datasets.Value("string"), "line": datasets.Value("int64")}),
    )
    if not len(data):
        raise DataError(f"{path} holds no text; give a file with one text a line.")
    return Rows(data, path, (), {"text": "text"}, fingerprint(data))


def is_tagged(path: str, text_column: str | None, beside_tags: bool) -> bool:
    """Whether a file holds words with tags, by its suffix or its first rows; with `beside_tags` a `.tsv` does."""
    suffix = form_of(Path(path))
    if beside_tags and (Path(path).is_dir() or suffix == ".tsv"):
        return True
    if Path(path).is_dir() or suffix == ".txt" or suffix not in suffixes_for("tags"):
        return False
    if suffix == ".tsv" and not holds_table(Path(path)):
        return False
    return suffix not in suffixes_for("labels") or shows_tags(lambda: open_table(path, "tags"), path, text_column)
