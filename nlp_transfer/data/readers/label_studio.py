"""Spans as Label Studio writes them: in tasks, and beside a text in JSON-MIN, CSV and TSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlp_transfer.data.readers.columns import TEXT
from nlp_transfer.data.readers.span_places import LABELS, Marked, Refusal, holds, is_dialogue, placed

FIELDS = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history")
"""The columns that an export has of its own; the others are those of the project."""

WITHDRAWN = "an annotation that was skipped or rejected"
"""Why a task is left out whose annotations are all withdrawn."""

_OBJECTS = ("text", "hypertext", "paragraphs")  # the types of a span that nobody has given a label
_BORDERS = {"start", "end", "startOffset", "endOffset", "globalOffsets", "text"}


def has_tasks(columns: Sequence[str]) -> bool:
    """Whether columns are those of tasks with their annotations, or of annotations with their task."""
    there = set(columns)
    return ("data" in there and bool({"annotations", "completions"} & there)) or {"task", "result"} <= there


def is_task(row: Mapping[str, Any]) -> bool:
    """Whether a row is a task with annotations, or an annotation with its task, as target storages hold them."""
    data, annotations = parts_of(row)
    return isinstance(data, dict) and isinstance(annotations, list)


def of_task(row: Mapping[str, Any], text_name: str | None, is_html: bool) -> Marked | Refusal:
    """The text of a task and the spans in it: those of its only finished annotation, or of the ground truth."""
    found = field_of_task(row, text_name)
    return found if isinstance(found, Refusal) else placed(found.text, found.spans, is_html)


def field_of_task(row: Mapping[str, Any], text_name: str | None) -> Marked | Refusal:
    """The field of a task that is annotated, and its spans, both as the task has them."""
    data, annotations = parts_of(row)
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return Refusal("no data and annotations of Label Studio")
    made = [annotation for annotation in annotations if isinstance(annotation, dict)]
    finished = [annotation for annotation in made if not is_withdrawn(annotation)]
    if len(finished) > 1:
        finished = [annotation for annotation in finished if annotation.get("ground_truth")] or finished
    if len(finished) > 1:
        return Refusal("several annotations, none of them the ground truth")
    items = finished[0].get("result") if finished else None
    spans = spans_of(items) if isinstance(items, list) else []
    name = _field(data, text_name, spans, items if isinstance(items, list) else [])
    if name is None:
        return Refusal("no text in its data")
    if not finished and made:
        return Refusal(WITHDRAWN, is_meant=True)
    return Marked(data[name], spans) if isinstance(items, list) else Refusal("no annotation")


def spans_of(items: Sequence[Any]) -> list[Any]:
    """The values of those items of a result that are spans of a text, the ones without a label too.

    Relations, choices, ratings, texts and whatever else annotators can give are none. A span to which one item gives a
    label, and another none, has that label.
    """
    spans = [item for item in items if not isinstance(item, dict) or _is_span(item)]
    labelled = {str(item["id"]) for item in spans if _is_known(item) and _has_labels(item.get("value"))}
    return [
        item.get("value") if isinstance(item, dict) else item
        for item in spans
        if not _is_known(item) or _has_labels(item.get("value")) or str(item["id"]) not in labelled
    ]


def looks_marked(cell: Any) -> bool:
    """Whether a cell is a list of spans of a text."""
    return isinstance(cell, list) and any(_has_labels(one) and "start" in one for one in cell)


def parts_of(row: Mapping[str, Any]) -> tuple[Any, Any]:
    """The data of a task, and its annotations; whatever stands there in rows that are none."""
    task = row.get("task")
    if isinstance(task, dict) and isinstance(row.get("result"), list):
        return task.get("data"), [row]
    return row.get("data"), row["annotations"] if "annotations" in row else row.get("completions")


def is_withdrawn(annotation: Mapping[str, Any]) -> bool:
    """Whether its annotator has skipped the task, or the last reviewer has rejected the annotation."""
    reviews = annotation.get("reviews")
    last = reviews[-1] if isinstance(reviews, list) and reviews else {}
    rejected = isinstance(last, dict) and last.get("accepted") is False
    return bool(annotation.get("was_cancelled") or annotation.get("skipped") or rejected)


def _is_span(item: Mapping[str, Any]) -> bool:
    kind, value = item.get("type"), item.get("value")
    if item.get("original_length") is not None or (isinstance(value, dict) and "channel" in value):
        return False  # of sound, whose spans are labelled as those of texts are
    if kind in LABELS or _has_labels(value):
        return True
    return (
        (kind is None or kind in _OBJECTS)
        and isinstance(value, dict)
        and {"start", "end"} <= set(value) <= _BORDERS
        and not isinstance(value.get("text"), list)
    )


def _is_known(item: Any) -> bool:
    return isinstance(item, dict) and item.get("id") is not None


def _has_labels(value: Any) -> bool:
    return isinstance(value, dict) and any(value.get(name) for name in LABELS)


def _field(data: Mapping[str, Any], given: str | None, spans: Sequence[Any], items: Sequence[Any]) -> str | None:
    """The name of the field that the spans are in: of several texts the first one that has the texts of all spans."""
    objects = [str(item.get("to_name")) for item in items if isinstance(item, dict) and item.get("value") in spans]
    known = [name for usual in TEXT.known for name in data if name.lower() == usual]
    names = [given] if given else list(dict.fromkeys([*(name for name in objects if name in data), *known, *data]))
    fields = [name for name in names if isinstance(data.get(name), str) or is_dialogue(data.get(name))]
    return next((name for name in fields if holds(data[name], spans)), fields[0] if fields else None)
