"""The reading of rows to predict as the run of the model has read its own, where nobody says otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import source_of, table_opener, use_of, wanted_columns
from nlp_transfer.data.readers.columns import Column, choose_column, no_such_column
from nlp_transfer.data.readers.reader_registry import options_for
from nlp_transfer.data.readers.records import Table
from nlp_transfer.errors import DataError, UserError

Values = Mapping[str, Any]
"""Values of options by their names."""


def as_in_training(
    options: PredictionOptions, remembered: Values, *, tagged: bool
) -> tuple[PredictionOptions, tuple[str, ...]]:
    """The options with those of the run (`remembered_options`) where they leave them open; and notes to the user.

    What the reader of the file does not take is left out. So is what does not fit the file, which a note says: a
    column that it lacks, where another has a usual name, or a delimiter that leaves no column for the text. DataError
    where a column is missing and none has a usual name.
    """
    left_open = {name: value for name, value in remembered.items() if getattr(options, name, value) in (None, False)}
    wanted = {column.flag.removeprefix("--"): column for column in wanted_columns(tagged)}
    columns = {name: value for name, value in left_open.items() if name in wanted}
    reading = None
    if left_open:
        for reading in _readings(options, columns, {n: v for n, v in left_open.items() if n not in wanted}, tagged):
            if reading.has_text(tagged):
                break
    if reading is None:  # nothing to take, or a file that cannot be opened, which is told when it is read
        return options, ()
    source, run = source_of(options), options.model_name_or_path
    notes = [f"As in training ({run}): {_flags(reading.taken)}."] if reading.taken else []
    if reading.left_out:
        notes.append(f"{source} does not fit {_flags(reading.left_out)}, as in training ({run}): it is read without.")
    for name, value in columns.items():
        if name not in reading.taken and reading.columns and not reading.is_of_words:
            notes.append(_instead(source, reading.columns, wanted[name], value))
    return reading.options, tuple(notes)


class _Reading(NamedTuple):
    """The input opened with some of the remembered options: those `taken`; `left_out` are others of its reader."""

    options: PredictionOptions
    columns: tuple[str, ...]
    taken: Values
    left_out: Values
    is_of_words: bool

    def has_text(self, tagged: bool) -> bool:
        """Whether a column holds the text; also where every row is bad, so that none names columns."""
        text, _ = wanted_columns(tagged)
        given = self.options.text_column_name
        return not self.columns or given in self.columns or _usual(self.columns, text) is not None


def _readings(options: PredictionOptions, columns: Values, others: Values, tagged: bool) -> Iterator[_Reading]:
    """The ways of reading the input that open it, the one that takes most of what is remembered first."""
    for named in (columns, {}):  # whether a .tsv has a text or a word a line depends on that
        attempt = replace(options, **named)
        use = use_of(attempt, tagged=tagged)
        taken_by_reader = () if options.dataset_name else options_for(Path(str(options.input_file)), use)
        of_reader = {name: value for name, value in others.items() if name in taken_by_reader}
        for read_by in (of_reader, {}) if of_reader else ({},):
            attempt = replace(options, **named, **read_by)
            try:
                there = table_opener(attempt, tagged=tagged)().columns
            except UserError:
                continue
            found = {name: value for name, value in columns.items() if value in there}
            if len(found) < len(named):
                continue
            left_out = {} if read_by else of_reader
            yield _Reading(replace(attempt, **found), there, {**found, **read_by}, left_out, use == "words")


def _instead(source: str, columns: tuple[str, ...], wanted: Column, value: str) -> str:
    """The note that a column with a usual name takes the place of one that is not there; DataError if there is none."""
    other = _usual(columns, wanted)
    if other is None:
        raise DataError(f"{no_such_column(source, columns, value, wanted.flag)} In training it was '{value}'.")
    return f"{source} has no column '{value}', as in training: '{other}' is read instead."


def _usual(columns: tuple[str, ...], wanted: Column) -> str | None:
    try:
        return choose_column("", Table(columns, lambda wanted: iter(())), wanted, None)
    except DataError:
        return None


def _flags(values: Values) -> str:
    return ", ".join(f"--{name} {shlex.quote(str(value))}" for name, value in values.items())
