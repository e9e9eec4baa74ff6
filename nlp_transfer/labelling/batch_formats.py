"""The forms in which a batch of rows is written for those who label it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from nlp_transfer.config import BATCH_FORMATS
from nlp_transfer.data.character_spans import word_offsets
from nlp_transfer.errors import OptionError
from nlp_transfer.labelling.labelling_folder import Answer, spans_of
from nlp_transfer.labelling.texts_to_label import RawText

ROW_ID = "row_id"
"""The name under which every form keeps the id of a row: tools number rows by an id of their own."""

_CONTROL, _OBJECT = "label", "text"  # the names in the config of Label Studio


class Written(NamedTuple):
    """What a file is to hold, and the ending of its name."""

    text: str
    suffix: str


class BatchFormat(NamedTuple):
    """How rows are written: of texts with a label each, and of texts with entities, if the form can hold those.

    A function takes the rows, the answers that are guessed of some of them, and the labels with their texts.
    """

    labels: Callable[[Sequence[RawText], Mapping[str, Answer], Mapping[str, Sequence[str]]], Written]
    entities: Callable[[Sequence[RawText], Mapping[str, Answer], Mapping[str, Sequence[str]]], Written] | None


def write_batch(
    form: str, task: str, rows: Sequence[RawText], guesses: Mapping[str, Answer], labels: Mapping[str, Sequence[str]]
) -> Written:
    """What the file of a batch holds in a form. Raises OptionError where that cannot hold entities."""
    of_labels, of_entities = FORMATS[form]
    if task == "classification":
        return of_labels(rows, guesses, labels)
    if of_entities is None:
        others = ", ".join(name for name, one in FORMATS.items() if one.entities)
        raise OptionError(f"--format {form} holds no entities; give one of {others}.")
    return of_entities(rows, guesses, labels)


def studio_config(task: str, labels: Sequence[str]) -> str:
    """The labelling config that a project of Label Studio needs for such rows."""
    inner = "Choice" if task == "classification" else "Label"
    kind = "Choices" if task == "classification" else "Labels"
    single = ' choice="single"' if task == "classification" else ""
    choices = "".join(f"\n    <{inner} value={quoteattr(name)}/>" for name in labels)
    return (
        f'<View>\n  <Text name="{_OBJECT}" value="$text"/>\n'
        f'  <{kind} name="{_CONTROL}" toName="{_OBJECT}"{single}>{choices}\n  </{kind}>\n</View>\n'
    )


def _csv(rows: Sequence[RawText], guesses: Mapping[str, Answer], _: Mapping[str, Sequence[str]]) -> Written:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([ROW_ID, "text", "label"])
    writer.writerows([row.id, row.text, guesses.get(row.id, "")] for row in rows)
    text = file.getvalue()
    # Excel reads a file as UTF-8 only where it begins so; what it had misread would come back as other texts.
    return Written(text if text.isascii() else f"\ufeff{text}", ".csv")


def _studio(rows: Sequence[RawText], guesses: Mapping[str, Answer], _: Mapping[str, Sequence[str]]) -> Written:
    def result(row: RawText, answer: Answer) -> list[dict[str, Any]]:
        if isinstance(answer, str):
            return [_studio_item("choices", {"choices": [answer]})]
        places = _in_utf16(row.text)
        return [
            _studio_item(
                "labels",
                {"start": places(start), "end": places(end), "text": row.text[start:end], "labels": [kind]},
            )
            for start, end, kind in spans_of(answer)
        ]

    tasks: list[dict[str, Any]] = []
    for row in rows:
        task: dict[str, Any] = {"data": {"text": row.text, ROW_ID: row.id}}
        if row.id in guesses:
            task["predictions"] = [{"model_version": "guess", "result": result(row, guesses[row.id])}]
        tasks.append(task)
    return Written(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", ".json")


def _studio_item(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": _CONTROL, "to_name": _OBJECT, "type": kind, "value": value}


def _in_utf16(text: str) -> Callable[[int], int]:
    """Offsets as a browser counts them, which is how Label Studio does: an emoji is two."""
    return lambda place: len(text[:place].encode("utf-16-le", "surrogatepass")) // 2


def _doccano(rows: Sequence[RawText], guesses: Mapping[str, Answer], _: Mapping[str, Sequence[str]]) -> Written:
    def label(row: RawText) -> list[Any]:
        answer = guesses.get(row.id, [])
        return [answer] if isinstance(answer, str) else answer

    return _lines({"text": row.text, "label": label(row), ROW_ID: row.id} for row in rows)


def _prodigy_labels(
    rows: Sequence[RawText], guesses: Mapping[str, Answer], labels: Mapping[str, Sequence[str]]
) -> Written:
    options = [{"id": name, "text": name if not texts else f"{name}: {texts[0]}" if texts[0] != name else name}
               for name, texts in labels.items()]  # fmt: skip
    return _lines(
        {"text": row.text, ROW_ID: row.id, "options": options, "accept": [guesses[row.id]] if row.id in guesses else []}
        for row in rows
    )


def _prodigy_entities(
    rows: Sequence[RawText], guesses: Mapping[str, Answer], _: Mapping[str, Sequence[str]]
) -> Written:
    def example(row: RawText) -> dict[str, Any]:
        offsets = word_offsets(row.text)
        first_of = {start: number for number, (start, _) in enumerate(offsets)}
        last_of = {end: number for number, (_, end) in enumerate(offsets)}
        begins = [start for start, _ in offsets[1:]] + [len(row.text)]
        tokens = [
            {"text": row.text[start:end], "start": start, "end": end, "id": number, "ws": begin > end}
            for number, ((start, end), begin) in enumerate(zip(offsets, begins, strict=True))
        ]
        spans = [
            {"start": start, "end": end, "label": kind, "token_start": first_of[start], "token_end": last_of[end]}
            for start, end, kind in spans_of(guesses.get(row.id, []))
        ]
        return {"text": row.text, ROW_ID: row.id, "tokens": tokens, "spans": spans}

    return _lines(map(example, rows))


def _lines(objects: Any) -> Written:
    # All in ASCII: some tools take a line separator inside of a text for the end of a line.
    return Written("".join(json.dumps(one) + "\n" for one in objects), ".jsonl")


FORMATS = dict(
    zip(
        BATCH_FORMATS,
        (
            BatchFormat(_csv, None),
            BatchFormat(_studio, _studio),
            BatchFormat(_doccano, _doccano),
            BatchFormat(_prodigy_labels, _prodigy_entities),
        ),
        strict=True,
    )
)
"""The forms by their names."""
