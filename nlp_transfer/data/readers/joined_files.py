"""Several files that are read as one."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.errors import DataError


def files_named(pattern: Path) -> list[Path]:
    """The files that a path with wildcards (*, ?, [...]) names, by their names; the path itself if it exists.

    >>> files_named(Path("data/part-*.csv"))  # doctest: +SKIP
    [Path("data/part-0.csv"), Path("data/part-1.csv")]
    """
    if pattern.exists() or not glob.has_magic(str(pattern)):
        return [pattern]
    return [path for path in sorted(map(Path, glob.glob(str(pattern), recursive=True))) if path.is_file()]


def joined(tables: Sequence[tuple[Path, Table]]) -> Table:
    """One table of several, one after another; rows are numbered through, and a bad one is told with its file."""
    unit = "row"
    columns = tuple(dict.fromkeys(name for _, table in tables for name in table.columns))

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        number = 0
        for path, table in tables:
            lacking = [name for name in wanted if name not in table.columns]
            if lacking and table.columns_are_all:
                raise DataError(
                    f"{path} has no column '{lacking[0]}', as {tables[0][0].name} has; its columns are: "
                    f"{', '.join(table.columns)}. Files that are read as one need the same columns."
                )
            for record in table.records([name for name in wanted if name in table.columns]):
                number += 1
                place = record.file if isinstance(record, Record) else record.at
                at = f"{path.name}, {place if isinstance(place, str) else f'{table.unit} {place or record.line}'}"
                if isinstance(record, BadRow):
                    yield record._replace(line=number, at=at)
                else:
                    yield record._replace(line=number, file=at)

    notes = tuple(note for _, table in tables for note in table.notes)
    total = (
        f"{len(tables)} files are read as one, {tables[0][0].name} to {tables[-1][0].name}; rows are numbered through."
    )
    return Table(
        columns,
        records,
        unit,
        (total, *dict.fromkeys(notes)),
        lambda: tuple(remark for _, table in tables for remark in table.remarks()),
        next((table.about_columns for _, table in tables if table.about_columns), ""),
        all(table.columns_are_all for _, table in tables),
    )
