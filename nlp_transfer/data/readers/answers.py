"""Answers of annotators: what they rejected or ignored is not what they marked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from nlp_transfer.data.readers.records import BadRow, Record, Table

ACCEPTED, REFUSED = "accept", ("reject", "ignore", "skip")
ANSWERS = (ACCEPTED, *REFUSED)
"""The answers of Prodigy."""

_PEEKED = 100  # rows that show whether a column holds answers


def is_refused(marked: Any) -> bool:
    """Whether a row or a span is one that an annotator rejected or ignored."""
    return isinstance(marked, dict) and _word(marked.get("answer")) in REFUSED


def without_rejected(table: Table, label_column: str | None = None) -> Table:
    """The table without rows that an annotator rejected or ignored (Prodigy) or discarded (Argilla), which are told.

    A column `answer` whose first values are others is a text like any.
    """
    answer = _column(table, "answer")
    status = _column(table, "status") if {"annotation", "annotation_agent", "responses"} & set(table.columns) else None
    if label_column in (answer or "answer", status or "status") or not (answer or status or not table.columns_are_all):
        return table
    answer = answer or "answer"

    def kept(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        names = [name for name in (answer, status) if name in table.columns]
        records = table.records(list(dict.fromkeys((*wanted, *names))))
        head = list(itertools.islice(records, _PEEKED))
        answers = [_word(r.values.get(answer)) for r in head if isinstance(r, Record)]
        given = [word for word in answers if word]
        is_tool = sum(word in ANSWERS for word in given) >= 0.8 * len(given)
        for record in itertools.chain(head, records):
            word = _word(record.values.get(answer)) if isinstance(record, Record) and is_tool else ""
            if isinstance(record, Record) and word in REFUSED:
                fault = f"the answer '{record.values[answer]}'"
            elif isinstance(record, Record) and status and _word(record.values.get(status)) == "discarded":
                fault = f"the status '{record.values[status]}'"
            else:
                yield record
                continue
            yield BadRow(record.line, fault, record.file or record.line, is_meant=True)

    return replace(table, records=kept)


def _column(table: Table, name: str) -> str | None:
    return next((column for column in table.columns if column.lower() == name), None)


def _word(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
