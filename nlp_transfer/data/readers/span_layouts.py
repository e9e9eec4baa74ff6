"""Layouts in which annotation tools write the entities of a text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nlp_transfer.data.readers.columns import TAGS, TEXT, WORDS
from nlp_transfer.data.readers.offsets import Mark
from nlp_transfer.data.readers.records import BadRow, Record, Table

_PEEKED = 100  # rows that show the layout
_SPANS = ("spans", "entities", "ents", "label", "labels", "annotations", "ner", "tags", "ner_tags")
_STARTS = ("start", "start_offset", "start_char", "begin", "startOffset")
_ENDS = ("end", "end_offset", "end_char", "stop", "endOffset")
_TYPES = ("label", "labels", "type", "entity", "tag", "entity_type", "entity_group")


class Layout(NamedTuple):
    """The name of a layout, and the function that reads the text and the spans of a row, or returns its fault."""

    name: str
    read: Callable[[Mapping[str, Any]], tuple[Any, Any] | str]


def peeked(
    table: Table, given: tuple[str | None, str | None]
) -> tuple[list[Record | BadRow], Iterator[Record | BadRow], Layout | None] | None:
    """The first records, the others, and the layout of spans; None, and nothing read, where columns rule spans out."""
    text_name, spans_name = given
    wanted = columns = table.columns
    if "data" not in columns or not {"annotations", "completions"} & set(columns):  # not Label Studio's
        texts = [text_name] if text_name else _named(columns, TEXT.known)
        spans = [spans_name] if spans_name else _named(columns, _SPANS)
        if not set(texts) & set(columns) or not set(spans) & set(columns):
            return None
        if not any(given) and _named(columns, WORDS.known) and _named(columns, TAGS.known[:2]):
            return None
        needed = {*texts, *spans, "answer", *_named(columns, (*WORDS.known, *TAGS.known))}
        wanted = tuple(name for name in columns if name in needed)
    records = table.records(wanted)
    head = list(itertools.islice(records, _PEEKED))
    return head, records, _layout([r.values for r in head if isinstance(r, Record)], columns, given)


def _named(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    return [name for name in columns if name.lower() in known]


def _layout(
    rows: list[Mapping[str, Any]], columns: Sequence[str], given: tuple[str | None, str | None]
) -> Layout | None:
    text_name, spans_name = given
    if any(isinstance(row.get("data"), dict) and isinstance(_results(row), list) for row in rows):
        return Layout("as Label Studio writes them", lambda row: _label_studio(row, text_name))
    texts = [n for n in ([text_name] if text_name else _by_rank(columns, TEXT.known)) if _shows(rows, n, str)]
    spans = [n for n in ([spans_name] if spans_name else _by_rank(columns, _SPANS)) if _shows(rows, n, list)]
    marked = [name for name in spans if any(_looks_marked(row.get(name)) for row in rows)]
    if not marked and not any(row.get(name) for name in spans for row in rows):
        marked = spans  # nowhere in the rows that are looked at is an entity
    if not texts or not marked:
        return None
    text, name = texts[0], marked[0]
    one = next((row[name][0] for row in rows if _looks_marked(row.get(name))), None)
    return Layout(_style(name, one), lambda row: _plain_layout(row, text, name))


def _by_rank(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    return sorted(_named(columns, known), key=lambda name: known.index(name.lower()))


def _shows(rows: list[Mapping[str, Any]], name: str, kind: type) -> bool:
    return any(isinstance(row.get(name), kind) for row in rows)


def _looks_marked(spans: Any) -> bool:
    if not isinstance(spans, list) or not spans:
        return False
    return isinstance(spans[0], dict) or (isinstance(spans[0], list | tuple) and len(spans[0]) == 3)


def _style(name: str, one: Any) -> str:
    if isinstance(one, dict):
        if "start_offset" in one:
            return f"as doccano writes them (column '{name}')"
        if "labels" in one:
            return f"as Label Studio writes them (column '{name}')"
        if name == "ents":
            return f"as spaCy writes them (column '{name}')"
        return f"objects of start, end and label (column '{name}')"
    if name in ("label", "labels"):
        return f"[start, end, type] as doccano writes them (column '{name}')"
    if name == "entities":
        return f"[start, end, type] as spaCy writes them (column '{name}')"
    return f"[start, end, type] (column '{name}')"


def _results(task: Mapping[str, Any]) -> Any:
    return task["annotations"] if "annotations" in task else task.get("completions")


def _label_studio(task: Mapping[str, Any], text_name: str | None) -> tuple[Any, Any] | str:
    data, annotations = task.get("data"), _results(task)
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return "no data and annotations of Label Studio"
    texts = [n for n in ([text_name] if text_name else [*_by_rank(list(data), TEXT.known), *data]) if n in data]
    text = next((data[name] for name in texts if isinstance(data[name], str)), None)
    if text is None:
        return "no text in its data"
    finished = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    if not finished:
        return "no annotation"
    if len(finished) > 1:
        finished = [a for a in finished if a.get("ground_truth")] or finished
    if len(finished) > 1:
        return "several annotations, none of them the ground truth"
    result = finished[0].get("result")
    if not isinstance(result, list):
        return "no annotation"
    values = [item.get("value") if isinstance(item, dict) else None for item in result]
    # Choices and ratings are no spans; spans of other kinds (hypertextlabels) are faults, not nothing.
    return text, [v for v in values if not isinstance(v, dict) or any(str(name).endswith("labels") for name in v)]


def _plain_layout(row: Mapping[str, Any], text: str, spans: str) -> tuple[Any, Any] | str:
    answer = row.get("answer", "accept")
    if answer not in ("accept", None):
        return f"the answer '{answer}'"  # Prodigy
    marks = row.get(spans, [] if row.get("answer") else None)
    return (row.get(text), marks) if isinstance(marks, list) else "no spans"


def marks_of(written: Sequence[Any]) -> list[Mark] | str:
    """Spans as any layout writes them: `[start, end, type]`, or objects of these under many names; or the fault."""
    marks: list[Mark] = []
    for one in written:
        if isinstance(one, dict):
            start, end = (next((one[n] for n in names if n in one), None) for names in (_STARTS, _ENDS))
            kinds = next((one[name] for name in _TYPES if name in one), None)
            surface, parts = one.get("text"), max(1, _whole(one.get("parts")) or 1)
        else:
            start, end, kinds = one if isinstance(one, list | tuple) and len(one) == 3 else (None, None, None)
            surface, parts = None, 1
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            first, last = _whole(start), _whole(end)
            if first is None or last is None or not isinstance(kind, str) or not kind.strip():
                return "a span that is neither [start, end, type] nor an object with start, end and label"
            marks.append(Mark(first, last, kind.strip(), surface if isinstance(surface, str) else None, parts))
        if isinstance(kinds, list) and not kinds:
            return "a span that has no label"
    return marks


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():  # as a data frame with gaps has them
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def unwrapped(table: Table) -> Table:
    """The table of the `data` of tasks of Label Studio; any other table as it is."""
    if "data" not in table.columns or TEXT.known[0] in table.columns:
        return table
    records = table.records(table.columns)
    head = list(itertools.islice(records, _PEEKED))
    shown = [r.values["data"] for r in head if isinstance(r, Record) and isinstance(r.values.get("data"), dict)]
    if not shown:
        return replace(table, records=lambda wanted: itertools.chain(head, records))
    columns = dict.fromkeys([*(name for data in shown for name in data), *table.columns])

    def flat(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for record in itertools.chain(head, records):
            if isinstance(record, Record) and isinstance(record.values.get("data"), dict):
                yield record._replace(values={**record.values, **record.values["data"]})
            else:
                yield record

    return replace(table, columns=tuple(columns), records=flat)
