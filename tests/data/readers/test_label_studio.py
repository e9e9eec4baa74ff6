"""All that Label Studio writes of spans is read, and what is no span harms no row."""

from __future__ import annotations

import csv
import json

import pytest
from tagged_files import fault, sentences

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.source_rows import read_source

TEXT = "Anna moved to Bonn."
WORDS, TAGS = ["Anna", "moved", "to", "Bonn", "."], ["B-PER", "O", "O", "B-LOC", "O"]


def span(start, end, surface, *labels, **more):
    value = {"start": start, "end": end, "text": surface, "labels": list(labels)}
    return {"id": f"r{start}", "from_name": "label", "to_name": "text", "type": "labels", "value": value, **more}


RESULT = [span(0, 4, "Anna", "PER"), span(14, 18, "Bonn", "LOC")]
NO_SPANS = [
    {"from_id": "r0", "to_id": "r14", "type": "relation", "direction": "right", "labels": ["lives in"]},
    {"id": "t", "type": "textarea", "value": {"text": ["a note"]}},
    {"id": "r0", "type": "textarea", "value": {"start": 0, "end": 4, "text": ["of a span"]}},
    {"id": "r0", "type": "choices", "value": {"start": 0, "end": 4, "text": "Anna", "choices": ["sure"]}},
    {"id": "r0", "type": "taxonomy", "value": {"start": 0, "end": 4, "text": "Anna", "taxonomy": [["a", "b"]]}},
    {"id": "a", "type": "rating", "value": {"rating": 4}},
    {"id": "b", "type": "number", "value": {"number": 4}},
    {"id": "c", "type": "datetime", "value": {"datetime": "2026-11-30"}},
    {"id": "d", "type": "pairwise", "value": {"selected": "left"}},
    {"id": "e", "type": "ranker", "value": {"ranker": {"_": ["x"]}}},
    {"id": "f", "type": "chatmessage", "value": {"chatmessage": {"role": "user", "content": "Hi"}}},
    {"id": "g", "to_name": "image", "type": "rectanglelabels", "value": {"x": 1, "y": 2, "rectanglelabels": ["Car"]}},
    {"id": "h", "type": "labels", "original_length": 9, "value": {"start": 0.5, "end": 2.5, "labels": ["Speech"]}},
    {"id": "r0", "type": "labels", "value": {"start": 0, "end": 4, "text": "Anna"}},  # the span of a rating, again
]


def task(text=TEXT, result=RESULT, **data):
    return {"id": 1, "data": {"text": text, **data}, "annotations": [{"id": 1, "result": list(result)}]}


def write(path, rows):
    path.write_text(json.dumps(rows))
    return path


def test_items_that_are_no_spans_make_no_row_bad(tmp_path):
    for item in NO_SPANS:
        rows = read_tagged(write(tmp_path / "a.json", [task(result=[*RESULT, item])]))
        assert sentences(rows) == [(WORDS, TAGS)], item["type"]


@pytest.mark.parametrize(
    "item",
    [
        {"id": "k", "type": "labels", "value": {"start": 14, "end": 18, "text": "Bonn"}},
        {"id": "k", "type": "text", "value": {"start": 14, "end": 18, "text": "Bonn"}},
        {"type": "labels", "value": {"start": 14, "end": 18, "text": "Bonn", "labels": []}},
        {"value": {"start": 14, "end": 18, "text": "Bonn"}},
    ],
)
def test_a_span_without_a_label_is_told_with_its_text(tmp_path, item):
    path = write(tmp_path / "a.json", [task(), task(result=[RESULT[0], item])])
    assert "1 row with a span that has no label ('Bonn' [14, 18]) (row 2)" in fault(path)
    rows = read_tagged(path, skip_bad_rows=True)
    assert (sentences(rows), rows.skipped) == ([(WORDS, TAGS)], (2,))


def test_one_task_and_what_a_target_storage_holds(tmp_path):
    assert sentences(read_tagged(write(tmp_path / "a.json", task()))) == [(WORDS, TAGS)]
    stored = {"id": 3, "result": RESULT, "was_cancelled": False, "task": {"id": 1, "data": {"text": TEXT}}}
    assert sentences(read_tagged(write(tmp_path / "a.jsonl", stored))) == [(WORDS, TAGS)]


def test_of_several_texts_the_one_with_the_spans_is_read(tmp_path):
    moved = {"title": "Of Anna", "body": TEXT, "text": "elsewhere"}
    rows = read_tagged(write(tmp_path / "a.json", [{**task(), "data": moved}]))
    assert sentences(rows) == [(WORDS, TAGS)]


def test_a_text_behind_an_address_is_told(tmp_path):
    result = [{"type": "labels", "value": {"start": 100, "end": 104, "labels": ["PER"]}}]
    path = write(tmp_path / "a.json", [task("s3://texts/1.txt", result)])
    assert "an address in place of its text (s3://texts/1.txt)" in fault(path)


# JSON-MIN, CSV and TSV


def exported(text="text", spans="label"):
    own = {"annotator": 1, "created_at": "2026-11-30", "updated_at": "2026-11-30", "lead_time": 1.5}
    values = [item["value"] for item in RESULT]
    return [
        {text: TEXT, "id": 7, spans: values, "annotation_id": 3, **own},
        {text: "No one.", "id": 8, "annotation_id": 4, **own},  # where nothing was marked, the key is missing
    ]


def as_csv(path, rows, delimiter):
    names = sorted({name for row in rows for name in row})
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        for row in rows:
            writer.writerow({n: json.dumps(v) if isinstance(v, list | dict) else v for n, v in row.items()})
    return path


@pytest.mark.parametrize(("text", "spans"), [("text", "label"), ("sentence", "ner"), ("body", "my_parts")])
def test_json_min_csv_and_tsv_are_read_whatever_the_project_calls_its_columns(tmp_path, text, spans):
    rows = exported(text, spans)
    expected = [(WORDS, TAGS), (["No", "one", "."], ["O"] * 3)]
    for path in (
        write(tmp_path / "a.json", rows),
        as_csv(tmp_path / "a.csv", rows, ","),
        as_csv(tmp_path / "a.tsv", rows, "\t"),
    ):
        read = read_tagged(path)
        assert sentences(read) == expected
        assert f"as Label Studio writes them (column '{spans}')" in read.notes[0]
        told = f"{path}: column '{spans}' spells lists as JSON writes them, and is read so."
        assert (told in read.notes) == (path.suffix != ".json")
        assert read_source(str(path))[1] == "tags"
    texts = open_texts(
        PredictionOptions("m", input_file=str(path), output_file="o", text_column_name=text), tagged=True
    )
    assert [row.text for row in texts] == [TEXT, "No one."]


def test_a_row_that_nobody_annotated_is_told(tmp_path):
    rows = [*exported(), {"text": "x", "id": 9, "annotation_id": None}]
    assert "1 row with no annotation (row 3)" in fault(write(tmp_path / "a.json", rows))
    assert "1 row with no annotation (line 4)" in fault(as_csv(tmp_path / "a.csv", rows, ","))


def test_choices_alone_are_labels_of_texts(tmp_path):
    chosen = [{"type": "choices", "value": {"choices": ["spam"]}}]
    rows = [{"text": "a", "id": 1, "sentiment": "spam", "annotation_id": 1}]
    for path in (write(tmp_path / "a.json", [task(result=chosen)]), as_csv(tmp_path / "a.csv", rows, ",")):
        assert nt.task_of(nt.DataOptions(train_file=str(path))) == "classification"


# HTML and dialogues


def marked(start, end, surface, label, path="/p[1]/text()[1]", **borders):
    places = {"start": path, "end": path, "startOffset": start, "endOffset": end}
    text = {} if surface is None else {"text": surface}
    return {"type": "hypertextlabels", "value": places | text | {"hypertextlabels": [label], **borders}}


@pytest.mark.parametrize("counted", [0, 1])
def test_html_becomes_text_and_no_two_words_one(tmp_path, counted):
    html = "<style>p {}</style><p>Anna <b>mo</b>ved<br>to Bonn &amp; Rome</p><p>Omar</p>"
    spans = [
        (0, 4, "Anna", "PER"),
        (13 + counted, 17 + counted, "Bonn", "LOC"),
        (24 + counted, 28 + counted, "Omar", "PER"),
    ]
    result = [marked(s, e, t, k, globalOffsets={"start": s, "end": e}) for s, e, t, k in spans]
    read = read_tagged(write(tmp_path / "a.json", [task(html, result), task("<p>No <i>one</i></p>", [])]))
    words = ["Anna", "moved", "to", "Bonn", "&", "Rome", "Omar"]
    assert sentences(read) == [
        (words, ["B-PER", "O", "O", "B-LOC", "O", "O", "B-PER"]),
        (["No", "one"], ["O", "O"]),
    ]
    assert "in HTML, whose tags are left out" in read.notes[0]


def test_html_that_cannot_be_placed_is_one_clear_fault(tmp_path):
    html = "<p>Anna moved</p>"
    path = write(tmp_path / "a.json", [task(html, [marked(0, 4, "Anna", "PER")])])
    assert "a span by XPath without globalOffsets (/p[1]/text()[1])" in fault(path)
    whole = {"globalOffsets": {"start": 0, "end": 4}}
    path = write(tmp_path / "a.json", [task(html, [marked(0, 4, None, "PER", **whole)])])
    assert "a span of HTML without its text" in fault(path)
    path = write(tmp_path / "a.json", [task(html, [marked(0, 4, "Omar", "PER", **whole)])])
    assert "a span whose text is not what stands there" in fault(path)


def test_spans_by_xpath_in_a_text_without_markup_are_offsets(tmp_path):
    result = [marked(0, 4, None, "PER", "/text()[1]"), marked(14, 18, None, "LOC", "/text()[1]")]
    assert sentences(read_tagged(write(tmp_path / "a.json", [task(result=result)]))) == [(WORDS, TAGS)]


DIALOGUE = [{"author": "Anna Long Name", "text": "Hi 🎉 Anna"}, {"author": "B", "text": "Bonn is far"}]
SPOKEN = (["Hi", "🎉", "Anna", "Bonn", "is", "far"], ["O", "O", "B-PER", "B-LOC", "O", "O"])


def said(paragraph, start, end, surface, label):
    value = {"start": str(paragraph), "end": str(paragraph), "startOffset": start, "endOffset": end, "text": surface}
    return {"type": "paragraphlabels", "to_name": "talk", "value": value | {"paragraphlabels": [label]}}


def test_dialogues_become_texts_of_a_line_a_paragraph(tmp_path):
    result = [said(0, 6, 10, "Anna", "PER"), said(1, 0, 4, "Bonn", "LOC")]
    row = {"id": 1, "data": {"talk": DIALOGUE}, "annotations": [{"result": result}]}
    assert sentences(read_tagged(write(tmp_path / "a.json", [row]))) == [SPOKEN]
    minimal = [{"talk": DIALOGUE, "id": 1, "signals": [item["value"] for item in result], "annotation_id": 2}]
    assert sentences(read_tagged(write(tmp_path / "b.json", minimal))) == [SPOKEN]
    assert sentences(read_tagged(as_csv(tmp_path / "b.csv", minimal, ","))) == [SPOKEN]
    options = PredictionOptions("m", input_file=str(tmp_path / "a.json"), output_file="o", text_column_name="talk")
    assert [text.text for text in open_texts(options, tagged=True)] == ["Hi 🎉 Anna\nBonn is far"]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (said(7, 0, 4, "Anna", "PER"), "a span in a paragraph that is not there (7, 7)"),
        (said("9" * 5000, 0, 4, "Anna", "PER"), "a span in a paragraph that is not there"),
        (said(0, None, 4, "Anna", "PER"), "a span without its offsets in the paragraph (0, 0)"),
        (said(0, 0, 2, "Anna", "PER"), "a span whose text is not what stands there"),
    ],
)
def test_spans_that_are_in_no_paragraph_are_told(tmp_path, item, says):
    row = {"id": 1, "data": {"talk": DIALOGUE}, "annotations": [{"result": [item]}]}
    assert says in fault(write(tmp_path / "a.json", [row]))
