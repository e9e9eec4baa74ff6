"""Labels of texts as annotation tools write them: choices of Label Studio and of Prodigy."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nlp_transfer.data.readers import label_studio
from nlp_transfer.data.readers.answers import without_rejected
from nlp_transfer.data.readers.columns import LABEL
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.errors import DataError

_PEEKED = 100  # rows that show the layout
_KINDS = ("choices", "taxonomy", "rating", "number")
"""The kinds of label that a task of Label Studio may have, the best first."""

_Change = Callable[[Record], "Record | BadRow"]


def labelled(table: Table, source: str, label_column: str | None) -> Table:
    """The table with a column `label` where a tool has written labels otherwise; any other table as it is.

    Rows that an annotator rejected or ignored are left out. `label_column` names one of several controls of Label
    Studio; DataError where there are several, and none is named.
    """
    is_unlabelled = not label_column and not any(name.lower() in LABEL.known for name in table.columns)
    if not (holds_annotations(table) or is_unlabelled):
        return without_rejected(table, label_column)
    records = table.records(table.columns)
    head = list(itertools.islice(records, _PEEKED))
    change = _change([row.values for row in head if isinstance(row, Record)], table.columns, source, label_column)
    everything = itertools.chain(head, records)
    if change is None:
        return without_rejected(replace(table, records=lambda wanted: everything), label_column)
    note, names, change_record = change

    def changed(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for record in everything:
            yield record if isinstance(record, BadRow) else change_record(record)

    notes = (*table.notes, f"{source}: {note}") if note else table.notes
    columns = tuple(dict.fromkeys((*names, *table.columns)))
    return without_rejected(replace(table, columns=columns, records=changed, notes=notes), label_column)


def holds_annotations(table: Table) -> bool:
    """Whether the columns are those of a tool that keeps labels within other columns."""
    return label_studio.has_tasks(table.columns) or {"options", "accept"} <= set(table.columns)


def _change(
    rows: list[Mapping[str, Any]], columns: Sequence[str], source: str, label_column: str | None
) -> tuple[str, Sequence[str], _Change] | None:
    tasks = [row for row in rows if label_studio.is_task(row)]
    if tasks:
        return _studio(tasks, source, label_column)
    chosen = any(isinstance(row.get("options"), list) and isinstance(row.get("accept"), list) for row in rows)
    if chosen and label_column in (None, "accept"):
        return "", ("label",), _accepted
    if label_column is None and (name := _column_of_choices(rows, columns)):
        return (
            f"column '{name}' holds choices of Label Studio, which are the labels.",
            ("label",),
            lambda record: record._replace(values={**record.values, "label": record.values.get(name)}),
        )
    return None


def choices_in(value: Any) -> list[Any] | None:
    """The labels of an object as Label Studio's small exports write it, or of a list of such; None of anything else."""
    items = value if isinstance(value, list) else [value]
    kind = next((kind for kind in _KINDS if items and all(isinstance(i, dict) and kind in i for i in items)), None)
    return None if kind is None else _chosen([item[kind] for item in items], kind)


def _accepted(record: Record) -> Record:
    accepted = record.values.get("accept")
    return record._replace(values={**record.values, "label": accepted if isinstance(accepted, list) else None})


def _column_of_choices(rows: list[Mapping[str, Any]], columns: Sequence[str]) -> str | None:
    names = [name for name in columns if any(choices_in(_parsed(row.get(name))) is not None for row in rows)]
    return names[0] if len(names) == 1 else None


def _parsed(value: Any) -> Any:
    """A cell of the CSV of Label Studio, whose objects are JSON."""
    if not isinstance(value, str) or not any(f'"{kind}"' in value for kind in _KINDS):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _studio(
    tasks: list[Mapping[str, Any]], source: str, label_column: str | None
) -> tuple[str, Sequence[str], _Change] | None:
    """Labels of the control that is named, or of the only one that classifies whole texts."""
    controls: dict[str, str] = {}
    parts = [label_studio.parts_of(task) for task in tasks]
    for item in (item for _, made in parts for annotation in made for item in _items(annotation)):
        kind = next((kind for kind in _KINDS if kind in item["value"]), None)
        if kind and "start" not in item["value"]:
            controls.setdefault(str(item.get("from_name")), kind)
    if label_column is not None and label_column not in controls:
        if any(label_column in data for data, _ in parts):
            return None  # a label that was imported with the text
        raise DataError(
            f"{source}: no annotation comes from '{label_column}'; name one of {', '.join(controls) or 'none'} "
            "with --label_column_name."
        )
    best = next((kind for kind in _KINDS if kind in controls.values()), None)
    named = [name for name, kind in controls.items() if (name == label_column if label_column else kind == best)]
    if len(named) > 1:
        raise DataError(
            f"{source} holds labels of several kinds, {', '.join(named)}; name one with --label_column_name."
        )
    if not named:
        return None
    name, kind = named[0], controls[named[0]]
    note = f"labels are the {kind} of '{name}', as Label Studio writes them."
    columns = dict.fromkeys(key for data, _ in parts for key in data)
    return note, (*columns, label_column or "label"), lambda record: _task(record, name, kind, label_column or "label")


def _task(record: Record, control: str, kind: str, column: str) -> Record | BadRow:
    at = record.file or record.line
    data, annotations = label_studio.parts_of(record.values)
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return BadRow(record.line, "no data and annotations of Label Studio", at)
    whole = [a for a in annotations if isinstance(a, dict) and isinstance(a.get("result"), list)]
    finished = [a for a in whole if not label_studio.is_withdrawn(a)]
    if whole and not finished:
        return BadRow(record.line, label_studio.WITHDRAWN, at, is_meant=True)
    if not finished:
        return BadRow(record.line, "no annotation", at)
    finished = [a for a in finished if a.get("ground_truth")] or finished
    labels = [_labels(annotation, control, kind) for annotation in finished]
    if None in labels:
        return BadRow(record.line, f"{kind} that are not as Label Studio writes them", at)
    if any(set(one or ()) != set(labels[0] or ()) for one in labels):
        return BadRow(record.line, "several annotations that differ, none of them the ground truth", at)
    chosen = labels[0] or []
    label = chosen if kind in ("choices", "taxonomy") else (chosen or [None])[0]
    return record._replace(values={**record.values, **data, column: label})


def _labels(annotation: Mapping[str, Any], control: str, kind: str) -> list[Any] | None:
    """The labels of an annotation, each once; None where they are of another kind than they should be."""
    values = [item["value"] for item in _items(annotation) if str(item.get("from_name")) == control]
    return _chosen([value[kind] for value in values if kind in value], kind)


def _chosen(written_values: Sequence[Any], kind: str) -> list[Any] | None:
    labels: dict[Any, None] = {}
    for written in written_values:
        for label in [written] if kind in ("rating", "number") else written if isinstance(written, list) else [None]:
            path = label if kind == "taxonomy" and isinstance(label, list) else [label]
            if not all(isinstance(step, str | int | float) for step in path):
                return None
            labels["/".join(map(str, path)) if kind == "taxonomy" else label] = None
    return list(labels)


def _items(annotation: Any) -> list[Mapping[str, Any]]:
    result = annotation.get("result") if isinstance(annotation, dict) else None
    items = result if isinstance(result, list) else []
    return [item for item in items if isinstance(item, dict) and isinstance(item.get("value"), dict)]
