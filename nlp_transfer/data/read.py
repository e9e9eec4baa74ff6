"""How does a file become rows?"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.columns import LABEL, TAGS, TEXT, WORDS, Column, choose_columns
from nlp_transfer.data.conll import conll_table
from nlp_transfer.data.forms import (
    BadRow,
    Record,
    Table,
    csv_table,
    hub_table,
    json_table,
    jsonl_table,
    open_table,
    parquet_table,
)
from nlp_transfer.data.store import batched, counted, rows_of, stored
from nlp_transfer.errors import DataError


@dataclass(frozen=True)
class Rows:
    """What one file or split holds, and what had to be left out.

    `data` has the columns text and label (classification) or words and tags (NER), and line: the line of the file
    where the row begins, or the number of the row where `unit` is "row". `columns` says which column of the file plays
    which role, `found` which columns there are.
    """

    data: datasets.Dataset
    source: str
    skipped: tuple[int, ...]
    columns: Mapping[str, str]
    sha256: str
    unit: str = "line"
    found: tuple[str, ...] = ()


def read_classification(
    path: str | os.PathLike[str],
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    skip_bad_rows: bool = False,
) -> Rows:
    """Read texts with a label each from CSV, TSV, JSON lines, JSON or Parquet.

    Labels are strings without white space around them, texts are as the file has them. DataError names what is wrong.

    >>> read_classification("train.csv", label_column="category").data[0]  # doctest: +SKIP
    {'text': 'I am still waiting on my card?', 'label': 'card_arrival', 'line': 2}
    """
    table = open_table(path, {".csv": csv_table, ".tsv": csv_table} | RECORD_FORMS)
    return _rows(table, str(path), _CLASSIFICATION, (text_column, label_column), skip_bad_rows)


def read_tagged(
    path: str | os.PathLike[str],
    words_column: str | None = None,
    tags_column: str | None = None,
    *,
    skip_bad_rows: bool = False,
) -> Rows:
    """Read sentences with a tag for each word from CoNLL columns, or from lists in JSON lines, JSON or Parquet.

    The columns of a CoNLL file are called words and tags: the first and the last one.
    """
    conll = dict.fromkeys((".conll", ".txt", ".bio", ".iob", ".tsv"), conll_table)
    return _rows(open_table(path, conll | RECORD_FORMS), str(path), _TAGGED, (words_column, tags_column), skip_bad_rows)


def read_hub(
    name: str,
    split: str,
    config_name: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    tagged: bool = False,
    skip_bad_rows: bool = False,
) -> Rows:
    """Read one split of a data set on the hub or in a folder, with words and tags if `tagged`.

    `datasets` reads the files and may guess types: a CSV with labels 001 and 002 comes as 1 and 2.
    """
    data = load_hub(name, lambda: datasets.load_dataset(name, config_name, split=split))
    task = _TAGGED if tagged else _CLASSIFICATION
    return _rows(hub_table(data), name, task, (text_column, label_column), skip_bad_rows)


def hub_splits(name: str, config_name: str | None = None) -> tuple[str, ...]:
    """The names of the splits that a data set on the hub or in a folder has."""
    return tuple(load_hub(name, lambda: datasets.get_dataset_split_names(name, config_name)))


def fingerprint(data: datasets.Dataset) -> str:
    """The SHA-256 of the rows' content; the same rows from another file form have the same one."""
    digest = hashlib.sha256()
    for row in rows_of(data, *(name for name in data.column_names if name != "line")):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


RECORD_FORMS = {".jsonl": jsonl_table, ".ndjson": jsonl_table, ".json": json_table, ".parquet": parquet_table}


class Cell(NamedTuple):
    """A value of a row, and what a fault in it is told with: `place` is its file and line."""

    value: Any
    column: str
    flag: str
    place: str


class _Task(NamedTuple):
    wanted: tuple[Column, Column]
    convert: Callable[[Cell, Cell], tuple[Any, Any] | str]  # a str is the fault
    feature: Any


def _rows(table: Table, source: str, task: _Task, given: tuple[str | None, str | None], skip_bad_rows: bool) -> Rows:
    if not table.columns:
        unreadable = [row for row in table.records(()) if isinstance(row, BadRow)]
        raise DataError(nothing_left(source, unreadable, table.unit))
    chosen = choose_columns(source, table.columns, task.wanted, given)
    bad: list[BadRow] = []

    def good() -> Iterator[tuple[Any, Any, int]]:
        for record in counted(f"reading {Path(source).name}", rows=table.records(chosen)):
            row = record if isinstance(record, BadRow) else _convert(record, f"{source}, {table.unit}", task, chosen)
            if isinstance(row, BadRow):
                bad.append(row)
            else:
                yield row

    roles = [column.role for column in task.wanted]
    features = datasets.Features(dict.fromkeys(roles, task.feature) | {"line": datasets.Value("int64")})
    data = stored((dict(zip(features, zip(*rows, strict=True), strict=True)) for rows in batched(good())), features)
    if bad and not skip_bad_rows:
        raise DataError(f"{source} has {faults(bad, table.unit)}. Mend them, or leave them out with --skip_bad_rows.")
    if not len(data):
        raise DataError(nothing_left(source, bad, table.unit))
    columns = dict(zip(roles, chosen, strict=True))
    return Rows(data, source, tuple(row.line for row in bad), columns, fingerprint(data), table.unit, table.columns)


def _convert(record: Record, place: str, task: _Task, chosen: tuple[str, str]) -> tuple[Any, Any, int] | BadRow:
    first, second = (
        Cell(record.values.get(name), name, column.flag, f"{place} {record.line}")
        for name, column in zip(chosen, task.wanted, strict=True)
    )
    row = task.convert(first, second)
    return BadRow(record.line, row, record.line) if isinstance(row, str) else (*row, record.line)


def _text_and_label(text_cell: Cell, label_cell: Cell) -> tuple[str, str] | str:
    text, label = plain(text_cell), plain(label_cell).strip()
    missing = [role for role, value in (("text", text.strip()), ("label", label)) if not value]
    if missing:
        return f"no {' and no '.join(missing)}"
    return (text, label) if is_unicode(text + label) else HALF_CHARACTER


def _words_and_tags(words_cell: Cell, tags_cell: Cell) -> tuple[list[str], list[str]] | str:
    words, tags = plain_list(words_cell), [tag.strip() for tag in plain_list(tags_cell)]
    if len(words) != len(tags):
        return f"{len(words)} words and {len(tags)} tags"
    if not words:
        return "no words"
    if not all(tags):
        return "a word that has no tag"
    if not all(words):
        return "a tag that has no word"
    return (words, tags) if is_unicode("".join(words + tags)) else HALF_CHARACTER


HALF_CHARACTER = "half a character (a lone surrogate such as \\ud83d)"


def is_unicode(text: str) -> bool:
    """Whether `text` can be written: no surrogate stands alone in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(cell: Cell) -> str:
    """The value as a string, empty where there is none: 1 and 1.0 are "1", true is "true", 2.267 is "2.267".

    DataError where it is a list or an object.
    """
    value = cell.value
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, int):
        return str(value)
    raise DataError(
        f"{cell.place}: column '{cell.column}' holds a {_kind(value)}, not a text or a number; "
        f"name a column of plain values with {cell.flag}."
    )


def plain_list(cell: Cell) -> list[str]:
    """The values of a list as `plain` gives them, nothing where there is none. DataError where it is no list."""
    if cell.value is None:
        return []
    if not isinstance(cell.value, list):
        raise DataError(
            f"{cell.place}: column '{cell.column}' holds a {_kind(cell.value)}, not a list; "
            f"name a column of lists with {cell.flag}."
        )
    # Strings, which nearly all are, as they are: a cell for each word would take half the time of reading.
    return [value if type(value) is str else plain(cell._replace(value=value)) for value in cell.value]


def _kind(value: object) -> str:
    names = {str: "text", dict: "object", bool: "truth value", int: "number", float: "number"}
    return names.get(type(value), type(value).__name__)


_CLASSIFICATION = _Task((TEXT, LABEL), _text_and_label, datasets.Value("string"))
_TAGGED = _Task((WORDS, TAGS), _words_and_tags, datasets.List(datasets.Value("string")))


def some_numbers(numbers: Sequence[int], unit: str) -> str:
    """The first five line or row numbers in words: "lines 2, 5, 9, 11, 14 ..."."""
    shown = ", ".join(str(number) for number in numbers[:5])
    return f"{unit}{'s' * (len(numbers) > 1)} {shown}{' ...' * (len(numbers) > 5)}"


def faults(bad: Sequence[BadRow], unit: str) -> str:
    """What is wrong with rows, in words: "2 rows with no text (lines 3, 9), 1 row with no label (line 4)"."""
    groups: dict[str, list[int]] = {}
    for row in bad:
        groups.setdefault(row.fault, []).append(row.at)
    told = [
        f"{len(numbers):,} row{'s' * (len(numbers) > 1)} with {fault} ({some_numbers(numbers, unit)})"
        for fault, numbers in list(groups.items())[:3]
    ]
    more = sum(len(numbers) for numbers in list(groups.values())[3:])
    return ", ".join(told) + (f", and {more:,} more bad row{'s' * (more > 1)}" if more else "")


def nothing_left(source: str, bad: Sequence[BadRow], unit: str) -> str:
    """What is said of a source in which no row can be used."""
    if not bad:
        return f"{source} holds no rows; give a file with rows in it."
    return f"{source} has no row that can be used: it has {faults(bad, unit)}. Mend them, or check the columns named."


def load_hub(name: str, load: Callable[[], Any]) -> Any:
    """What `load` gives of the data set `name`. DataError where it is not there or cannot be read."""
    try:
        return load()
    except datasets.exceptions.DatasetNotFoundError:
        raise DataError(
            f"there is no data set '{name}' on the hub nor a folder of that name, or you may not see it; "
            "check --dataset_name, or log in with: hf auth login"
        ) from None
    except ConnectionError as error:
        raise DataError(
            f"the data set '{name}' is not on this machine and the hub cannot be reached ({_first_line(error)}); "
            "connect to the network, or give files with --train_file."
        ) from None
    except (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the data set '{name}' cannot be loaded ({_first_line(error)}); "
            "check --dataset_name, its configuration and its splits."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
