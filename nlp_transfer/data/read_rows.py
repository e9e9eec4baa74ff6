"""Labelled rows of files, data sets and objects in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import datasets

from nlp_transfer.data.character_spans import MANNERS
from nlp_transfer.data.labels import AS_FOUND, LabelForm
from nlp_transfer.data.readers import BadRow, Table, frame_table, hub_table, is_saved, open_table, saved_table
from nlp_transfer.data.readers.annotated import aligned
from nlp_transfer.data.readers.bad_rows import faults, nothing_left
from nlp_transfer.data.readers.columns import choose_columns
from nlp_transfer.data.readers.hub import load_hub, saved_splits
from nlp_transfer.data.readers.reader_registry import Use, check_options
from nlp_transfer.data.row_store import batched, counted, rows_of, stored
from nlp_transfer.data.task_columns import Task, classification, converted, tagged
from nlp_transfer.errors import DataError, OptionError

if TYPE_CHECKING:
    import pandas

Source: TypeAlias = "str | os.PathLike[str] | datasets.Dataset | pandas.DataFrame"
"""What rows are read from: a path, or an object in memory."""


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


def read_classification(
    path: Source,
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    pair_column: str | None = None,
    labels: LabelForm = AS_FOUND,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
) -> Rows:
    """Read texts, or with a `pair_column` pairs of them, with their labels.

    They come from CSV, TSV, JSON lines, JSON, Parquet, Arrow, a folder, or an object in memory. A folder is one that
    `datasets` has saved, or holds a folder per label with `.txt` files in it. An object is a pandas data frame or a
    `datasets.Dataset`. `delimiter` is that of CSV and TSV, by default detected from the rows. `labels` says how
    these are written. Labels are strings without white space around them, texts are as the file has them. DataError
    names what is wrong.

    >>> read_classification("train.csv", label_column="category").data[0]  # doctest: +SKIP
    {'text': 'I am still waiting on my card?', 'label': 'card_arrival', 'line': 2}
    """
    table = _opened(path, "labels", delimiter=delimiter)
    table, task = classification(table, _name(path), text_column, pair_column, label_column, labels)
    return _rows(table, _name(path), task, skip_bad_rows)


def read_tagged(
    path: Source,
    words_column: str | None = None,
    tags_column: str | None = None,
    *,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
    conll_columns: str | None = None,
    misaligned: str = "strict",
) -> Rows:
    """Read sentences with a tag for each word: CoNLL columns, lists of words and tags, or texts with character spans.

    Lists and spans come from JSON lines, JSON, Parquet, Arrow or an object in memory (see `read_classification`), in
    any layout that `data.annotated` knows, or from a folder of brat or a `.spacy` file. The columns of a CoNLL file are
    called words and tags: the first and the last one, or those that `conll_columns` names, such as "0,3". `misaligned`
    says what is done with spans that do not align with words: `strict` raises DataError, `snap`, `drop`.
    """
    table = _opened(path, "tags", conll_columns=conll_columns, delimiter=delimiter)
    return _tagged_rows(table, _name(path), (words_column, tags_column), misaligned, skip_bad_rows)


def read_hub(
    name: str,
    split: str,
    config_name: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    tagged: bool = False,
    pair_column: str | None = None,
    labels: LabelForm = AS_FOUND,
    skip_bad_rows: bool = False,
    misaligned: str = "strict",
) -> Rows:
    """Read one split of a data set on the hub or in a folder, with words and tags if `tagged`.

    `datasets` reads the files and may guess types: a CSV with labels 001 and 002 comes as 1 and 2. What it has saved
    itself comes as it was.
    """
    if is_saved(Path(name)):
        table = saved_table(Path(name) / split if saved_splits(Path(name)) else Path(name))
    else:
        table = hub_table(load_hub(name, lambda: datasets.load_dataset(name, config_name, split=split)))
    if tagged:
        return _tagged_rows(table, name, (text_column, label_column), misaligned, skip_bad_rows)
    table, task = classification(table, name, text_column, pair_column, label_column, labels)
    return _rows(table, name, task, skip_bad_rows)


def fingerprint(data: datasets.Dataset) -> str:
    """The SHA-256 of the rows' content; the same rows from another file form have the same one."""
    digest = hashlib.sha256()
    for row in rows_of(data, *(name for name in data.column_names if name != "line")):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def _name(source: Source) -> str:
    """The name of a source in messages."""
    return str(source) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"


def _opened(source: Source, use: Use, **options: str | None) -> Table:
    if isinstance(source, str | os.PathLike):
        return open_table(source, use, **options)
    check_options(_name(source), use, (), **options)
    if isinstance(source, datasets.Dataset):
        return hub_table(source)
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return frame_table(source)
    raise DataError(
        f"{_name(source)} is not supported; give a path, a pandas DataFrame or a datasets.Dataset (of an iterable one "
        "its rows: Dataset.from_list(list(rows)))."
    )


def _rows(table: Table, source: str, task: Task, skip_bad_rows: bool) -> Rows:
    if not table.columns:
        unreadable = [row for row in table.records(()) if isinstance(row, BadRow)]
        raise DataError(nothing_left(source, unreadable, table.unit))
    chosen = choose_columns(source, table.columns, task.wanted, task.given)
    bad: list[BadRow] = []
    meant: list[BadRow] = []

    def good() -> Iterator[tuple[Any, ...]]:
        for record in counted(f"reading {Path(source).name}", rows=table.records(chosen)):
            row = record if isinstance(record, BadRow) else converted(record, task, chosen)
            if isinstance(row, BadRow):
                (meant if row.is_meant else bad).append(row)
            else:
                yield row

    features = datasets.Features({**task.features, "line": datasets.Value("int64")})
    data = stored((dict(zip(features, zip(*rows, strict=True), strict=True)) for rows in batched(good())), features)
    if bad and not skip_bad_rows:
        raise DataError(f"{source} has {faults(bad, table.unit)}. Mend them, or leave them out with --skip_bad_rows.")
    if not len(data):
        raise DataError(nothing_left(source, [*bad, *meant], table.unit))
    notes = (*table.notes, *table.remarks())
    if meant:
        notes += (f"{source}: left out {faults(meant, table.unit)}.",)
    columns: dict[str, str] = {}
    for column, name in zip(task.wanted, chosen, strict=True):
        columns[column.role] = f"{columns[column.role]}, {name}" if column.role in columns else name
    skipped, left_out = (tuple(row.at if table.unit == "file" else row.line for row in rows) for rows in (bad, meant))
    return Rows(
        data, source, skipped, columns, fingerprint(data), table.unit, table.columns, notes, left_out=left_out
    )  # fmt: skip


def _tagged_rows(
    table: Table, source: str, given: tuple[str | None, str | None], misaligned: str, skip_bad_rows: bool
) -> Rows:
    if misaligned not in MANNERS:
        raise OptionError(f"--misaligned must be {', '.join(MANNERS)}; got {misaligned}.")
    table, alignment = aligned(table, source, given, misaligned, skip_bad_rows)
    if alignment is None:
        return _rows(table, source, tagged(*given), skip_bad_rows)
    rows = _rows(table, source, tagged(None, None), skip_bad_rows)
    return replace(rows, notes=(*rows.notes, *alignment.notes()), misaligned=alignment.whole_list())
