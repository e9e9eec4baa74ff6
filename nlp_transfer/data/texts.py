"""Which texts are to be predicted?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.cells import HALF_CHARACTER, Cell, is_unicode, plain, plain_list
from nlp_transfer.data.columns import TEXT, TEXT_PAIR, WORDS, Column, choose_column
from nlp_transfer.data.conll import words_table
from nlp_transfer.data.forms import BadRow, Record, Table, csv_table, hub_table, lines_table, open_table
from nlp_transfer.data.read import (
    RECORD_FORMS,
    faults,
    load_hub,
    nothing_left,
)
from nlp_transfer.errors import DataError

_ID = Column("id", "--id_column_name", ())


class Text(NamedTuple):
    """A row to predict: `line` is where it stands, `text` a string, two of them, or for a tagger a list of words."""

    line: int
    text: str | list[str]
    id: str | None


@dataclass(frozen=True)
class Texts:
    """Texts of a file or data set. They are read anew each time, so that memory does not grow with the rows.

    `count` of them can be used, `skipped` not. `sha256` is that of what is read.
    """

    read: Callable[[], Iterator[Text | BadRow]]
    unit: str
    count: int
    skipped: int
    sha256: str

    def __iter__(self) -> Iterator[Text]:
        return (row for row in self.read() if isinstance(row, Text))


def open_texts(options: PredictionOptions, *, tagged: bool) -> Texts:
    """The texts that the options name, all looked at once; `tagged` takes lists of words as well.

    Raises DataError for what cannot be read, and, unless bad rows are to be skipped, for those.
    """
    table = _tables(options, tagged)
    source = str(options.dataset_name or options.input_file)
    unit = table().unit

    def read() -> Iterator[Text | BadRow]:
        return _texts(table(), source, options, tagged)

    digest, count, bad = hashlib.sha256(), 0, []
    for row in read():
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            digest.update(json.dumps(row).encode() + b"\n")
            count += 1
    if bad and not options.skip_bad_rows:
        raise DataError(f"{source} has {faults(bad, unit)}. Mend them, or leave them out with --skip_bad_rows.")
    if not count:
        raise DataError(nothing_left(source, bad, unit))
    return Texts(read, unit, count, len(bad), digest.hexdigest())


def _tables(options: PredictionOptions, tagged: bool) -> Callable[[], Table]:
    """What opens the table of the input; it is read once each time."""
    if name := options.dataset_name:
        split = options.dataset_split_name or "test"
        data = load_hub(name, lambda: datasets.load_dataset(name, options.dataset_config_name, split=split))
        return lambda: hub_table(data)
    forms = {".txt": lines_table, ".csv": csv_table, ".tsv": csv_table} | RECORD_FORMS
    if tagged:
        forms |= dict.fromkeys((".conll", ".bio", ".iob"), words_table)
        forms |= {} if options.text_column_name else {".tsv": words_table}
    return lambda: open_table(Path(str(options.input_file)), forms)


def _texts(table: Table, source: str, options: PredictionOptions, tagged: bool) -> Iterator[Text | BadRow]:
    if not table.columns:  # every row that could have named them is bad
        yield from (row for row in table.records(()) if isinstance(row, BadRow))
        return
    wanted = TEXT._replace(known=WORDS.known + TEXT.known) if tagged else TEXT
    column = choose_column(source, table.columns, wanted, options.text_column_name)
    key = options.id_column_name and choose_column(source, table.columns, _ID, options.id_column_name)
    pair = options.text_pair_column_name and choose_column(
        source, table.columns, TEXT_PAIR, options.text_pair_column_name
    )
    for record in table.records(list(dict.fromkeys((column, key or column, pair or column)))):
        if isinstance(record, Record):
            place = f"{source}, {table.unit} {record.line}"
            cell = Cell(record.values.get(column), column, TEXT.flag, place)
            id_ = plain(Cell(record.values.get(key), key, _ID.flag, place)) if key else None
            second = cell._replace(value=record.values.get(pair), column=pair, flag=TEXT_PAIR.flag) if pair else None
            yield _text(record.line, cell, second, id_, tagged)
        else:
            yield record


def _text(line: int, cell: Cell, second: Cell | None, id_: str | None, tagged: bool) -> Text | BadRow:
    if second:
        texts = [plain(cell), plain(second)]
        for name, one in zip(("text", "second text"), texts, strict=True):
            if not one.strip():
                return BadRow(line, f"no {name}", line)
        return (
            Text(line, texts, id_) if is_unicode("".join((*texts, id_ or ""))) else BadRow(line, HALF_CHARACTER, line)
        )
    text: Any = plain_list(cell) if tagged and isinstance(cell.value, list) else plain(cell)
    words = text if isinstance(text, list) else [text.strip()]
    if not words or not all(words):
        return BadRow(line, "no text" if isinstance(text, str) else "no words, or an empty one", line)
    return Text(line, text, id_) if is_unicode("".join((*words, id_ or ""))) else BadRow(line, HALF_CHARACTER, line)
