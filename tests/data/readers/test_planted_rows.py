"""A wrong row among good ones is told, wherever it stands and whatever the form of the file."""

from __future__ import annotations

import csv
import json

import pytest

import nlp_transfer as nt
from nlp_transfer.data.label_check import check_tags
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.splits import Splits

TEXT = "Anna sang in Bonn"
TRIPLES = [[0, 4, "PER"], [13, 17, "LOC"]]
OBJECTS = [{"start": s, "end": e, "text": TEXT[s:e], "labels": [kind]} for s, e, kind in TRIPLES]
MARK = {"start": 0, "end": 4, "label": "PER"}
WORDS, TAGS = TEXT.split(), ["B-PER", "O", "O", "B-LOC"]


def as_task(spans, **more):
    result = [{"type": "labels", "value": span} for span in spans]
    return {"data": {"text": TEXT}, "annotations": [{"result": result}], **more}


def conll(path, rows):
    path.write_text("\n".join("".join(f"{line}\n" for line in row) for row in rows), "utf-8")


def json_lines(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")


def table(path, rows):
    """A row is a list of rows of the file, or one."""
    lines = [line for row in rows for line in (row if isinstance(row, list) else [row])]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerow(next(line for line in lines if isinstance(line, dict)))
        writer.writerows(line.values() if isinstance(line, dict) else line for line in lines)


def words_of(sentence, id_, changed=None):
    rows = [{"sentence_id": id_, "word": word, "tag": tag} for word, tag in sentence]
    return rows if changed is None else [*rows[:1], changed, *rows[2:]]


PAIRS = list(zip(WORDS, TAGS, strict=True))
GOOD_LINES = ["\t".join(pair) for pair in PAIRS]
FORMS = {
    "conll": (conll, "a.conll", GOOD_LINES),
    "lists": (json_lines, "a.jsonl", {"tokens": WORDS, "tags": TAGS}),
    "spelt": (table, "a.csv", {"tokens": repr(WORDS), "tags": repr(TAGS)}),
    "doccano": (json_lines, "a.jsonl", {"text": TEXT, "label": TRIPLES}),
    "UTF-16": (json_lines, "a.jsonl", {"text": f"🎉 {TEXT}", "label": [[s + 3, e + 3, k] for s, e, k in TRIPLES]}),
    "Label Studio": (json_lines, "a.jsonl", as_task(OBJECTS)),
    "JSON-MIN": (json_lines, "a.jsonl", {"text": TEXT, "label": OBJECTS, "annotation_id": 1}),
    "Label Studio's CSV": (table, "a.csv", {"text": TEXT, "label": json.dumps(OBJECTS), "annotation_id": 1}),
    "Label Studio's TSV": (table, "a.tsv", {"text": TEXT, "label": json.dumps(OBJECTS), "annotation_id": 1}),
    "Prodigy": (
        json_lines,
        "a.jsonl",
        {"text": TEXT, "spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept"},
    ),
}
NO_LABEL = [{"start": 0, "end": 4, "text": "Anna"}]
ANOTHER_TEXT = [{"start": 0, "end": 4, "text": "Omar", "labels": ["PER"]}]
WRONG = [
    ("conll", [*GOOD_LINES[:2], "in", GOOD_LINES[3]]),
    ("conll", [*GOOD_LINES[:2], "in\tO\tO", GOOD_LINES[3]]),
    ("conll", [*GOOD_LINES[:2], "\tO", GOOD_LINES[3]]),
    ("lists", {"tokens": WORDS, "tags": TAGS[1:]}),
    ("lists", {"tokens": WORDS, "tags": [*TAGS[:3], None]}),
    ("lists", {"tokens": TEXT, "tags": TAGS}),
    ("spelt", {"tokens": repr(WORDS), "tags": repr(TAGS)[:-1]}),
    ("spelt", {"tokens": repr(WORDS), "tags": repr(TAGS[1:])}),
    ("doccano", {"text": TEXT, "label": [[0, 3, "PER"]]}),
    ("doccano", {"text": TEXT, "label": [[0, 99, "PER"]]}),
    ("doccano", {"text": TEXT, "label": [[0, 4, None]]}),
    ("doccano", {"text": TEXT, "label": [[0, 4, 7]]}),
    ("doccano", {"text": TEXT, "label": "PER"}),
    ("UTF-16", {"text": f"🎉 {TEXT}", "label": [[s + 2, e + 2, k] for s, e, k in TRIPLES]}),
    ("Label Studio", as_task(NO_LABEL)),
    ("Label Studio", as_task(ANOTHER_TEXT)),
    ("Label Studio", {"data": {"text": TEXT}, "annotations": [{"result": []}, {"result": []}]}),
    ("Label Studio", {"data": {"words": 3}, "annotations": [{"result": []}]}),
    ("JSON-MIN", {"text": TEXT, "label": NO_LABEL, "annotation_id": 1}),
    ("JSON-MIN", {"text": TEXT, "label": ANOTHER_TEXT, "annotation_id": 1}),
    ("JSON-MIN", {"text": TEXT, "annotation_id": None}),
    ("Label Studio's CSV", {"text": TEXT, "label": json.dumps(NO_LABEL), "annotation_id": 1}),
    ("Label Studio's CSV", {"text": TEXT, "label": json.dumps(OBJECTS)[:-1], "annotation_id": 1}),
    ("Label Studio's TSV", {"text": TEXT, "label": json.dumps(ANOTHER_TEXT), "annotation_id": 1}),
    ("Prodigy", {"text": TEXT, "spans": [], "answer": "later"}),
    ("Prodigy", {"text": TEXT, "spans": [{"start": 0, "end": 4}], "answer": "accept"}),
]


@pytest.mark.parametrize(("form", "wrong"), WRONG, ids=[f"{form} {n}" for n, (form, _) in enumerate(WRONG)])
@pytest.mark.parametrize("place", [0, 1, 12])
def test_a_wrong_row_is_told_and_the_others_are_read(tmp_path, form, wrong, place):
    write, name, good = FORMS[form]
    rows = [good] * 12
    write(tmp_path / name, rows)
    right = read_tagged(tmp_path / name).data[0]
    write(tmp_path / name, [*rows[:place], wrong, *rows[place:]])
    with pytest.raises(nt.DataError, match=r"has 1 row with |has [12] spans? that do"):
        read_tagged(tmp_path / name)
    read = read_tagged(tmp_path / name, skip_bad_rows=True)
    assert len(read.skipped) == 1
    assert list(zip(read.data["words"], read.data["tags"], strict=True)) == [(right["words"], right["tags"])] * 12


@pytest.mark.parametrize("form", ["conll", "lists", "spelt"])
@pytest.mark.parametrize("tag", ["X-PER", "PER", "B", "B-", "0", "O\u200b"])
@pytest.mark.parametrize("place", [0, 5, 9])
def test_a_tag_of_another_kind_is_told(tmp_path, form, tag, place):
    write, name, good = FORMS[form]
    tags = [TAGS[0], tag, *TAGS[2:]]
    wrong = {
        "conll": ["\t".join(pair) for pair in zip(WORDS, tags, strict=True)],
        "lists": {"tokens": WORDS, "tags": tags},
        "spelt": {"tokens": repr(WORDS), "tags": repr(tags)},
    }[form]
    write(tmp_path / name, [wrong if n == place else good for n in range(10)])
    with pytest.raises(nt.DataError, match=f"unknown tag scheme, '{tag}' is neither"):
        check_tags(Splits(read_tagged(tmp_path / name), None, None))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sentence_id": 5, "word": "sang", "tag": ""},
        {"sentence_id": 5, "word": "", "tag": "O"},
        {"sentence_id": "", "word": "sang", "tag": "O"},
        {"sentence_id": 5, "word": "sang\n5", "tag": "O"},
        ["5", "sang"],
        ["5", "sang", "O", "O"],
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_wrong_row_of_a_table_of_words_is_told(tmp_path, wrong, name):
    rows = [words_of(PAIRS, n, wrong if n == 5 else None) for n in range(10)]
    table(tmp_path / name, rows)
    with pytest.raises(nt.DataError, match="has 1 row with "):
        read_tagged(tmp_path / name)
    read = read_tagged(tmp_path / name, skip_bad_rows=True)
    assert (len(read.data), len(read.skipped)) == (9, 1)
    assert {tuple(words) for words in read.data["words"]} == {tuple(WORDS)}


def test_what_an_annotator_refused_is_told_and_no_fault(tmp_path):
    write, name, good = FORMS["Prodigy"]
    write(tmp_path / name, [good, {**good, "answer": "reject"}, good])
    rows = read_tagged(tmp_path / name)
    assert (len(rows.data), rows.skipped, rows.left_out) == (2, (), (2,))
    assert "left out 1 row with the answer 'reject' (line 2)" in rows.notes[-1]
