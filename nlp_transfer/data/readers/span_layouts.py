"""Layouts in which annotation tools write the entities of a text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nlp_transfer.data.readers import label_studio, span_places
from nlp_transfer.data.readers.answers import ACCEPTED
from nlp_transfer.data.readers.columns import TAGS, TEXT, WORDS
from nlp_transfer.data.readers.offsets import Mark
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.span_places import Marked, Refusal
from nlp_transfer.system.text import cut

SPANS = ("spans", "entities", "ents", "label", "labels", "annotations", "ner", "tags", "ner_tags")
"""Usual names of a column of spans, the most likely first."""

_PEEKED = 100  # rows that show the layout
_STARTS = ("start", "start_offset", "start_char", "begin", "startOffset")
_ENDS = ("end", "end_offset", "end_char", "stop", "endOffset")
_TYPES = ("label", "labels", "type", "entity", "tag", "entity_type", "entity_group")


class Layout(NamedTuple):
    """The name of a layout, and the function that reads the text and the spans of a row.

    `shows_spans` is False where rows have the form of a layout, and the first of them no span.
    """

    name: str
    read: Callable[[Mapping[str, Any]], Marked | Refusal]
    shows_spans: bool = True


def peeked(
    table: Table, given: tuple[str | None, str | None]
) -> tuple[list[Record | BadRow], Iterator[Record | BadRow], Layout | None] | None:
    """The first records, the others, and the layout of spans; None, and nothing read, where columns rule spans out."""
    text_name, spans_name = given
    wanted = columns = table.columns
    if not is_of_label_studio(columns):
        texts = [text_name] if text_name else _named(columns, TEXT.known)
        spans = [spans_name] if spans_name else _named(columns, SPANS)
        if not set(texts) & set(columns) or not set(spans) & set(columns):
            return None
        if not any(given) and _named(columns, WORDS.known) and _named(columns, TAGS.known[:-1]):
            return None
        needed = {*texts, *spans, "answer", *_named(columns, (*WORDS.known, *TAGS.known))}
        wanted = tuple(name for name in columns if name in needed)
    records = table.records(wanted)
    head = list(itertools.islice(records, _PEEKED))
    return head, records, _layout([r.values for r in head if isinstance(r, Record)], columns, given)


def is_of_label_studio(columns: Sequence[str]) -> bool:
    """Whether columns are those of an export of Label Studio, whose own project names the ones of texts and spans."""
    return label_studio.has_tasks(columns) or "annotation_id" in columns


def _named(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    return [name for name in columns if name.lower() in known]


def _layout(
    rows: list[Mapping[str, Any]], columns: Sequence[str], given: tuple[str | None, str | None]
) -> Layout | None:
    text_name, spans_name = given
    tasks = [label_studio.field_of_task(row, text_name) for row in rows if label_studio.is_task(row)]
    if tasks:
        is_html = any(map(span_places.shows_html, tasks))
        return Layout(
            f"as Label Studio writes them{' in HTML, whose tags are left out' * is_html}",
            lambda row: label_studio.of_task(row, text_name, is_html),
            any(isinstance(task, Marked) and task.spans for task in tasks),
        )
    is_minimal = "annotation_id" in columns
    spans = [n for n in ([spans_name] if spans_name else _by_rank(columns, SPANS)) if _shows(rows, n, list)]
    marked = [name for name in spans if any(_looks_marked(row.get(name)) for row in rows)]
    if not marked and is_minimal and not spans_name:
        marked = [n for n in columns if any(label_studio.looks_marked(row.get(n)) for row in rows)]
    if not marked and not any(row.get(name) for name in spans for row in rows):
        marked = spans  # nowhere in the rows that are looked at is an entity
    texts = _texts(rows, columns, text_name, marked[:1] if is_minimal else None)
    if not texts or not marked:
        return None
    text, name = texts[0], marked[0]
    one = next((row[name][0] for row in rows if _looks_marked(row.get(name))), None)
    others = f"; not those of column {', '.join(repr(n) for n in marked[1:])}" if marked[1:] else ""
    if is_minimal:
        cells = [Marked(row.get(text), row[name]) for row in rows if isinstance(row.get(name), list)]
        is_html = any(map(span_places.shows_html, cells))
        return Layout(
            f"as Label Studio writes them (column '{name}'){others}", lambda row: _minimal(row, text, name, is_html)
        )
    return Layout(_style(name, one) + others, lambda row: _plain_layout(row, text, name))


def _texts(
    rows: list[Mapping[str, Any]], columns: Sequence[str], given: str | None, minimal: list[str] | None
) -> list[str]:
    """The columns that may hold the texts, the most likely first; `minimal` are those of spans of a JSON-MIN."""
    texts = [name for name in ([given] if given else _by_rank(columns, TEXT.known)) if _shows(rows, name, str)]
    if texts or minimal is None:
        return texts
    others = [n for n in ([given] if given else columns) if n not in (*label_studio.FIELDS, *minimal)]
    dialogues = [name for name in others if any(span_places.is_dialogue(row.get(name)) for row in rows)]
    lengths = {name: sum(len(row[name]) for row in rows if isinstance(row.get(name), str)) for name in others}
    return dialogues or sorted((n for n in others if lengths[n]), key=lambda name: -lengths[name])


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


def _minimal(row: Mapping[str, Any], text: str, spans: str, is_html: bool) -> Marked | Refusal:
    """A row of JSON-MIN: where it has no spans, its annotator has marked none."""
    marks = row.get(spans)
    if marks in (None, ""):
        if row.get("annotation_id") in (None, ""):
            return Refusal("no annotation")
        marks = []
    return span_places.placed(row.get(text), marks, is_html) if isinstance(marks, list) else Refusal("no spans")


def _plain_layout(row: Mapping[str, Any], text: str, spans: str) -> Marked | Refusal:
    answer = row.get("answer", ACCEPTED)
    if answer not in (ACCEPTED, None):
        return Refusal(f"the answer '{answer}'")  # Prodigy; rows that an annotator refused are left out before
    marks = row.get(spans)
    if marks is None and row.get("answer"):
        marks = []  # accepted, and nothing marked
    return Marked(row.get(text), marks) if isinstance(marks, list) else Refusal("no spans")


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
        first, last = _whole(start), _whole(end)
        if first is None or last is None:
            return f"a span that is neither [start, end, type] nor an object with start, end and label{_shown(one)}"
        for kind in kinds if isinstance(kinds, list) and kinds else [kinds]:
            if isinstance(kind, int | float) and not isinstance(kind, bool):
                return f"a span whose label is the number {kind}, not a name{_shown(one)}"
            if not isinstance(kind, str) or not kind.strip():
                return f"a span that has no label{_shown(one)}"
            marks.append(Mark(first, last, kind.strip(), surface if isinstance(surface, str) else None, parts))
    return marks


def _shown(span: Any) -> str:
    """The span that a fault is about."""
    if not isinstance(span, dict):
        return f" ({cut(repr(span), 60)})"
    start, end = (next((span[n] for n in names if n in span), None) for names in (_STARTS, _ENDS))
    surface = span.get("text")
    return (
        f" ({f'{cut(surface, 40)!r} ' if isinstance(surface, str) else ''}[{cut(str(start), 20)}, {cut(str(end), 20)}])"
    )


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():  # as a data frame with gaps has them
        return int(value)
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
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
                data = {name: span_places.spoken(value) for name, value in record.values["data"].items()}
                yield record._replace(values={**record.values, **data})
            else:
                yield record

    return replace(table, columns=tuple(columns), records=flat)
