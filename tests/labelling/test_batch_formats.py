"""A batch that was written comes back from each tool as it was answered, entities in all that can hold them."""

from __future__ import annotations

import json

import pytest
from loops import options

from nlp_transfer.config import BATCH_FORMATS
from nlp_transfer.errors import OptionError
from nlp_transfer.labelling.batch_formats import ROW_ID, studio_config, write_batch
from nlp_transfer.labelling.returned_rows import read_returned
from nlp_transfer.labelling.texts_to_label import RawText, id_of

TEXTS = [
    'The 😀 train, "late" again;\nsaid Anna in Oslo.', "=SUM(1,2) costs 3,50 €", "  blanks  around\t",
    "Müller\u2028x", "one\r\ntwo", "12e5",
]  # fmt: skip
ROWS = [RawText(id_of(text), text, line) for line, text in enumerate(TEXTS)]
LABELS = {"complaint, late": ["it is late"], "praise": ["praise"]}
ANSWERS = {row.id: list(LABELS)[place % 2] for place, row in enumerate(ROWS)}
AT = TEXTS[0].index("Anna")
ENTITIES = {row.id: [] for row in ROWS} | {
    ROWS[0].id: [[AT, AT + 4, "PER"], [AT + 8, AT + 12, "LOC"]],
    ROWS[3].id: [[0, 6, "PER"]],
}


def studio_export(tasks):
    """What Label Studio exports as JSON: its own ids, the data, and annotations in place of predictions."""
    for number, task in enumerate(tasks):
        value = task.pop("predictions", [{"result": []}])[0]["result"]
        task |= {"id": 100 + number, "annotations": [{"id": number, "result": value, "was_cancelled": False}]}
    return tasks


def as_exported(form, text):
    """What a tool exports, of a batch in which all that was pre-filled was accepted."""
    if form == "csv":
        return text
    if form == "label_studio":
        return json.dumps(studio_export(json.loads(text)))
    rows = [json.loads(line) for line in text.splitlines()]
    if form == "doccano":
        rows = [{"id": 7 + number, **row, "Comments": []} for number, row in enumerate(rows)]
    else:
        rows = [{**row, "answer": "accept", "_input_hash": 1, "_view_id": "choice"} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("form", BATCH_FORMATS)
def test_labels_come_back_as_they_were_written(form, tmp_path):
    written = write_batch(form, "classification", ROWS, ANSWERS, LABELS)
    path = tmp_path / f"back{written.suffix}"
    path.write_bytes(as_exported(form, written.text).encode())
    back = read_returned(options(tmp_path, labelled_file=str(path)), "classification").rows
    assert {row.id: row.answer for row in back} == ANSWERS
    assert {row.id: id_of(row.text) for row in back} == {row.id: row.id for row in ROWS}
    assert [row.fault for row in back] == [""] * len(ROWS)


@pytest.mark.parametrize("form", BATCH_FORMATS[1:])
def test_entities_come_back_as_they_were_written(form, tmp_path):
    written = write_batch(form, "ner", ROWS, ENTITIES, {"PER": ["person"], "LOC": ["place"]})
    path = tmp_path / f"back{written.suffix}"
    path.write_bytes(as_exported(form, written.text).encode())
    back = read_returned(options(tmp_path, labelled_file=str(path)), "ner").rows
    assert len(back) == len(ROWS)
    for row in back:
        assert not row.fault
        surfaces = [(kind, " ".join(row.words[first:end])) for kind, first, end in row.answer]
        text = next(raw.text for raw in ROWS if raw.id == row.id)
        assert surfaces == [(kind, text[start:end]) for start, end, kind in ENTITIES[row.id]]


@pytest.mark.parametrize("form", BATCH_FORMATS)
def test_rows_that_nobody_has_labelled_have_no_answer(form, tmp_path):
    """Those that are not pre-filled, as the rows to check are; of Prodigy only answered rows are exported."""
    some = {row.id: ANSWERS[row.id] for row in ROWS[:2]}
    written = write_batch(form, "classification", ROWS, some, LABELS)
    text = written.text
    if form == "label_studio":
        text = json.dumps(studio_export(json.loads(text)))
    path = tmp_path / f"back{written.suffix}"
    path.write_bytes((text if form != "prodigy" else as_exported(form, text)).encode())
    back = read_returned(options(tmp_path, labelled_file=str(path)), "classification").rows
    assert {row.id: row.answer for row in back if row.answer} == some
    assert {row.fault for row in back if not row.answer} == {"no label"}


def test_a_form_without_entities_names_those_that_have_them():
    with pytest.raises(OptionError, match="csv holds no entities; give one of label_studio, doccano, prodigy"):
        write_batch("csv", "ner", ROWS, {}, {"PER": ["person"]})


def test_a_spreadsheet_is_told_that_a_csv_is_utf_8():
    assert write_batch("csv", "classification", ROWS, {}, LABELS).text.startswith("\ufeffrow_id,")
    assert write_batch("csv", "classification", ROWS[-1:], {}, LABELS).text.startswith("row_id,")


def test_label_studio_gets_a_config_with_all_labels():
    config = studio_config("classification", list(LABELS))
    assert '<Choices name="label" toName="text" choice="single">' in config
    assert '<Choice value="complaint, late"/>' in config
    assert '<Label value="A &amp; B"/>' in studio_config("ner", ["A & B"])


def test_label_studio_counts_an_emoji_as_two():
    (task,) = json.loads(write_batch("label_studio", "ner", ROWS[:1], ENTITIES, {}).text)
    value = task["predictions"][0]["result"][0]["value"]
    assert value == {"start": AT + 1, "end": AT + 5, "text": "Anna", "labels": ["PER"]}


def test_prodigy_gets_words_of_which_its_spans_are():
    line, *_ = write_batch("prodigy", "ner", ROWS, ENTITIES, {}).text.splitlines()
    row = json.loads(line)
    assert "".join(token["text"] + " " * token["ws"] for token in row["tokens"]) == TEXTS[0].replace("\n", " ")
    for span in row["spans"]:
        first, last = row["tokens"][span["token_start"]], row["tokens"][span["token_end"]]
        assert (first["start"], last["end"]) == (span["start"], span["end"])
    assert row[ROW_ID] == ROWS[0].id
