"""The rows of a file that comes back from labelling: their ids, texts and answers, or why they have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset

from nlp_transfer.config import LabellingOptions
from nlp_transfer.data.labels import AS_FOUND
from nlp_transfer.data.readers import BadRow, Record, Table, open_table
from nlp_transfer.data.readers.annotated import aligned
from nlp_transfer.data.readers.bad_rows import nothing_left
from nlp_transfer.data.readers.columns import choose_columns
from nlp_transfer.data.readers.joined_files import files_named
from nlp_transfer.data.readers.reader_registry import Use, reader_options
from nlp_transfer.data.readers.span_layouts import unwrapped
from nlp_transfer.data.readers.tagged_tables import sentences_of
from nlp_transfer.data.tag_schemes import recognise, spans
from nlp_transfer.data.tag_spellings import with_usual_tags
from nlp_transfer.data.task_columns import Task, classification, converted, tagged
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.labelling.batch_formats import ROW_ID

NO_LABEL = ("no label", "no annotation", "no list of labels ([] says that a text has none)")
"""Faults of a row that nobody has labelled so far."""


class ReturnedRow(NamedTuple):
    """A row of the file: where it stands, its id if it has one, its text, and its answer.

    `words` are those of a row with tags, `answer` is a label, or entities `(type, first word, word after the last)`.
    `fault` says why there is no answer, `is_rejected` that an annotator wanted none.
    """

    at: int | str
    id: str | None
    text: str | None
    words: tuple[str, ...] | None = None
    answer: Any = None
    fault: str = ""
    is_rejected: bool = False


class ReturnedRows(NamedTuple):
    """All rows of a file, in its order; `unit` is what `at` counts, `notes` say how the file was read."""

    rows: list[ReturnedRow]
    unit: str
    notes: tuple[str, ...]


def read_returned(options: LabellingOptions, task: str) -> ReturnedRows:
    """Read `options.labelled_file`, in any form that rows of the task are learned from. Raises DataError."""
    path, use = str(options.labelled_file), _USES[task]
    if len(files_named(Path(path))) > 1:
        raise OptionError(f"--labelled_file {path} names several files; merge one after another.")
    form = {name: getattr(options, name, None) for name in reader_options()}
    known = _ids_and_texts(open_table(path, use, **form), options.text_column_name)
    if task == "classification":
        rows, table = _labelled(open_table(path, use, **form), path, options)
    else:
        rows, table = _tagged(path, use, form, options)
    read = []
    for row in rows:
        name, text = known.get(row.at, (None, None))
        read.append(row._replace(id=name, text=row.text if row.text is not None else text))
    if not read:
        raise DataError(nothing_left(path, [], table.unit))
    return ReturnedRows(read, table.unit, (*table.notes, *table.remarks()))


_USES: dict[str, Use] = {"classification": "labels", "ner": "tags"}


def _labelled(table: Table, path: str, options: LabellingOptions) -> tuple[list[ReturnedRow], Table]:
    table, task = classification(table, path, options.text_column_name, None, options.label_column_name, AS_FOUND)
    rows = []
    for at, read in _converted(table, path, task):
        if isinstance(read, BadRow):
            rows.append(_without_answer(read))
            continue
        text, label, _ = read
        several = label if isinstance(label, list) else [label]
        fault = "" if len(several) == 1 else f"{len(several)} labels ({', '.join(several)})" if several else NO_LABEL[0]
        rows.append(ReturnedRow(at, None, text, answer=None if fault else several[0], fault=fault))
    return rows, table


def _tagged(path: str, use: Use, form: Mapping[str, Any], options: LabellingOptions) -> tuple[list[ReturnedRow], Table]:
    given, counting = (options.text_column_name, options.label_column_name), None
    while True:
        table, names = sentences_of(open_table(path, use, **form), path, given)
        # Spans inside of words are widened to whole ones, which a note says: no other spans can be learned.
        table, alignment = aligned(table, path, names, "snap", True, counting)
        task = tagged(*((None, None) if alignment else names))
        read = list(_converted(table, path, task))
        counting = alignment.recount() if alignment else None
        if counting is None:
            break
    notes = alignment.notes() if alignment else ()
    good = [(at, *row[:2]) for at, row in read if not isinstance(row, BadRow)]
    sequences = [tags for _, _, tags in good]
    scheme = "IOB2"
    if good and not alignment:
        data, notes = with_usual_tags(Dataset.from_dict({"tags": sequences}), path, ())
        sequences = data["tags"][:]
        scheme = recognise(sequences).scheme
    rows = [_without_answer(row) for _, row in read if isinstance(row, BadRow)]
    rows += [
        ReturnedRow(at, None, None, tuple(words), spans(tags, scheme))
        for (at, words, _), tags in zip(good, sequences, strict=True)
    ]
    return rows, replace(table, notes=(*table.notes, *notes))


def _converted(table: Table, path: str, task: Task) -> Iterator[tuple[int | str, Any]]:
    """Where each row stands, and its values or its fault."""
    chosen = choose_columns(path, table, task.wanted, task.given) if table.columns else ()
    for record in table.records(chosen):
        row = record if isinstance(record, BadRow) else converted(record, task, chosen)
        yield (row.at if isinstance(row, BadRow) else _place(record)), row


def _without_answer(row: BadRow) -> ReturnedRow:
    return ReturnedRow(row.at, None, None, fault=row.fault, is_rejected=row.is_meant)


def _place(record: Record | BadRow) -> int | str:
    return record.at if isinstance(record, BadRow) else record.file or record.line


def _ids_and_texts(table: Table, text_column: str | None) -> dict[int | str, tuple[str | None, str | None]]:
    """The id and the text of each row, wherever its tool keeps them: also those of rows without an answer."""
    table = unwrapped(table)
    found: dict[int | str, tuple[str | None, str | None]] = {}
    for record in table.records(table.columns):
        if isinstance(record, Record):
            id_, text = (_value(record.values, name) for name in (ROW_ID, text_column or "text"))
            found[_place(record)] = id_, text
    return found


def _value(values: Mapping[str, Any], name: str) -> str | None:
    """What a row, its data, or its metadata has under a name."""
    task = values.get("task")
    parts = (values, values.get("data"), values.get("meta"), task.get("data") if isinstance(task, dict) else None)
    held = (part.get(name) for part in parts if isinstance(part, dict | Mapping))
    return next((one.strip() if name == ROW_ID else one for one in held if isinstance(one, str) and one.strip()), None)
