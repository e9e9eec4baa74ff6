"""CSV and TSV files of words with tags, or of texts with spans."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nlp_transfer.data.readers.columns import TEXT
from nlp_transfer.data.readers.conll_layout import column_named, columns_given, refuse_one_column
from nlp_transfer.data.readers.delimited import csv_table
from nlp_transfer.data.readers.list_cells import list_in
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.span_layouts import SPANS, is_of_label_studio
from nlp_transfer.data.readers.text_lines import is_blank, text_lines
from nlp_transfer.data.readers.word_tables import TAG as TAG_NAMES
from nlp_transfer.data.readers.word_tables import WORD as WORD_NAMES
from nlp_transfer.data.readers.word_tables import borders_of, plain_name
from nlp_transfer.data.tag_schemes import TAG
from nlp_transfer.errors import DataError

_LOOKED_AT = 200  # lines, or rows, that show what a file is
_LISTS = {*TAG_NAMES, *map(plain_name, SPANS)}


def delimited_words(path: Path, conll_columns: str | None = None, **form: Any) -> Table:
    """Delimited rows under a header, of words, of lists of words, or of texts with spans (`form`: see `csv_table`).

    `conll_columns` names the columns of the word and of its tag, by number from 0 or by name; they are then called
    words and tags.
    """
    table = csv_table(path, **form)
    if not conll_columns:
        return table
    given = columns_given(conll_columns)
    places = [column_named(path, name, table.columns, len(table.columns)) for name in given]
    refuse_one_column(conll_columns, places)
    roles = {table.columns[place]: role for place, role in zip(places, ("words", "tags"), strict=False)}
    others = [n for n in table.columns if n not in roles and plain_name(n) not in (*WORD_NAMES, *TAG_NAMES)]

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for record in table.records((*roles, *others)):
            if isinstance(record, Record):
                values = record.values
                yield record._replace(
                    values={role: values[name] for name, role in roles.items()}
                    | {name: values[name] for name in others}
                )
            else:
                yield record

    return replace(table, columns=(*roles.values(), *others), records=records)


def holds_table(path: Path) -> bool:
    """Whether a file that might hold CoNLL columns is a table under a header: of words, with a column that tells their
    sentences apart and no blank line after these; or of lists, which its cells spell."""
    try:
        return _holds_words(path) or _holds_lists(path)
    except (DataError, OSError):  # whoever reads it tells
        return False


def _holds_words(path: Path) -> bool:
    # Without regard to quotes: a quote may be a word.
    lines = [line.rstrip("\r\n") for _, line in itertools.islice(text_lines(path), _LOOKED_AT)]
    if not lines or any(map(is_blank, lines)):
        return False
    for mark in "\t,;|":
        header, *rows = ([field.strip('" ') for field in line.split(mark)] for line in lines)
        others = [name for name in header if plain_name(name) not in (*WORD_NAMES, *TAG_NAMES)]
        names = {plain_name(name) for name in header}
        if len(header) > 1 and not names.isdisjoint(WORD_NAMES) and len(set(header)) == len(header):
            whole = [dict(zip(header, fields, strict=True)) for fields in rows if len(fields) == len(header)]
            return bool(borders_of(whole, others).names)
    return False


def _holds_lists(path: Path) -> bool:
    table = csv_table(path)
    is_exported = is_of_label_studio(table.columns)
    names = {plain_name(name) for name in table.columns}
    if names.isdisjoint({*WORD_NAMES, *TEXT.known}) and not is_exported:
        return False
    spelt = [name for name in table.columns if is_exported or plain_name(name) in _LISTS]
    rows = itertools.islice(table.records(spelt), _LOOKED_AT)
    cells = [row.values.get(name) for row in rows if isinstance(row, Record) for name in spelt]
    return any(isinstance(cell, str) and list_in(cell) is not None for cell in cells)


def has_tags_behind(path: Path) -> bool:
    """Whether a .txt holds CoNLL columns and not texts: nearly each line but blank ones ends in a tag."""
    try:
        lines = [line for _, line in itertools.islice(text_lines(path), _LOOKED_AT)]
    except (DataError, OSError):
        return False
    said = [line.split() for line in lines if not is_blank(line) and not line.startswith(("#", "-DOCSTART-"))]
    tags = [fields[-1] for fields in said if len(fields) > 1 and TAG.fullmatch(fields[-1])]
    return len(tags) >= max(1, 0.9 * len(said)) and set(tags) != {"O"}


def holds_conll(path: Path) -> bool:
    """Whether a file that might be a table holds CoNLL columns: its first line that is no comment has a tag in the last
    of its columns, and so names no columns, each line has a word in the first, and blank lines part sentences."""
    try:
        lines = [line for _, line in itertools.islice(text_lines(path), _LOOKED_AT) if not line.startswith("#")]
    except (DataError, OSError):
        return False
    said = [line for line in lines if not is_blank(line) and not line.startswith("-DOCSTART-")]
    for mark in ",\t;|":
        if said and mark in said[0] and TAG.fullmatch(said[0].split(mark)[-1].strip()):
            return len(said) < len(lines) and not any(line.startswith(mark) for line in said)
    return False
