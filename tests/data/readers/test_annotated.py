"""Texts with spans become words and tags, whatever tool wrote them and however it counts characters."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path

import pytest
from tagged_files import fault, sentences

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_tagged
from nlp_transfer.data.source_rows import read_source

TEXT = "😀 Anna met José in 北京."
SPANS = [(2, 6, "PER"), (11, 15, "PER"), (19, 21, "LOC")]
WORDS = ["😀", "Anna", "met", "José", "in", "北", "京", "."]
TAGS = ["O", "B-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O"]


def utf16(place: int) -> int:
    return len(TEXT[:place].encode("utf-16-le")) // 2


TRIPLES = [list(span) for span in SPANS]
OBJECTS = [{"start": start, "end": end, "label": kind} for start, end, kind in SPANS]
RESULTS = [  # Label Studio counts as JavaScript does
    {
        "type": "labels",
        "value": {"start": utf16(start), "end": utf16(end), "text": TEXT[start:end], "labels": [kind]},
    }
    for start, end, kind in SPANS
]
LAYOUTS = {
    "Label Studio": {
        "id": 1,
        "data": {"id": "x", "text": TEXT},
        "annotations": [{"was_cancelled": True, "result": []}, {"result": [*RESULTS, {"value": {"choices": ["a"]}}]}],
        "predictions": [],
    },
    "Label Studio writes them (column 'label')": {"id": 1, "text": TEXT, "label": [r["value"] for r in RESULTS]},
    "[start, end, type] as doccano": {"id": 1, "text": TEXT, "label": TRIPLES},
    "as doccano writes them (column 'entities')": {
        "id": 1,
        "text": TEXT,
        "entities": [{"id": 0, "label": k, "start_offset": a, "end_offset": b} for a, b, k in SPANS],
        "relations": [],
    },
    "[start, end, type] as spaCy": [TEXT, {"entities": TRIPLES}],
    "as spaCy writes them (column 'ents')": {
        "text": TEXT,
        "ents": OBJECTS,
        "tokens": [{"id": 0, "start": 0, "end": 1}],
    },
    "objects of start, end and label (column 'spans')": {
        "text": TEXT,
        "tokens": [{"text": "😀", "start": 0, "end": 1, "id": 0}],
        "spans": OBJECTS,
        "answer": "accept",
    },
}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layouts_of_tools_are_known_and_told(tmp_path, name):
    row = LAYOUTS[name]
    write(tmp_path / "a.jsonl", row)
    (tmp_path / "b.json").write_text(json.dumps([row, row]))
    for path, count in ((tmp_path / "a.jsonl", 1), (tmp_path / "b.json", 2)):
        rows = read_tagged(path)
        assert sentences(rows) == [(WORDS, TAGS)] * count
        assert rows.misaligned == ()
        (note,) = rows.notes
        assert note.startswith(f"{path}: texts with character spans, ")
        assert name in note


def test_a_classic_file_of_an_annotator_of_spacy(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"classes": ["PER"], "annotations": [[TEXT, {"entities": TRIPLES}]]}))
    assert sentences(read_tagged(tmp_path / "a.json")) == [(WORDS, TAGS)]


def test_columns_of_any_name_and_objects_in_memory(tmp_path):
    from datasets import Dataset

    data = Dataset.from_list([{"body": TEXT, "marks": OBJECTS}])
    assert sentences(read_tagged(data, "body", "marks")) == [(WORDS, TAGS)]
    data.to_parquet(tmp_path / "a.parquet")
    assert sentences(read_tagged(tmp_path / "a.parquet", "body", "marks")) == [(WORDS, TAGS)]
    assert sentences(read_tagged(data.to_pandas(), "body", "marks")) == [(WORDS, TAGS)]


def test_texts_without_entities_are_texts_of_o(tmp_path):
    path = write(tmp_path / "a.jsonl", *[{"text": "no one", "label": []}] * 150, {"text": TEXT, "label": TRIPLES})
    rows = read_tagged(path)
    assert len(rows.data) == 151
    assert rows.data[150]["tags"] == TAGS


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("counted", [1, 2])
def test_line_ends_shift_nothing(tmp_path, end, counted):
    text = f"one{end}two{end}Anna, 😀 Jo"
    ends = 2 * (counted if end == "\r\n" else 1)
    for emoji in (1, 2):
        spans = [
            {"start": 6 + ends, "end": 10 + ends, "label": "PER", "text": "Anna"},
            {"start": 13 + ends + emoji, "end": 15 + ends + emoji, "label": "PER", "text": "Jo"},
        ]
        ((words, tags),) = sentences(read_tagged(write(tmp_path / "a.jsonl", {"text": text, "spans": spans})))
        assert [word for word, tag in zip(words, tags, strict=True) if tag != "O"] == ["Anna", "Jo"]


BAD = [
    ({"text": TEXT, "spans": [[0, 1]]}, "neither [start, end, type] nor an object"),
    ({"text": TEXT, "spans": [{"start": 0, "end": True, "label": "A"}]}, "neither [start, end, type]"),
    ({"text": TEXT, "spans": [{"start": 0, "end": 1, "labels": []}]}, "a span that has no label"),
    ({"text": TEXT, "spans": [{"start": 2, "end": 6, "label": "A", "text": "Anne"}]}, "not what stands there"),
    ({"text": TEXT}, "no spans"),
    ({"text": TEXT, "spans": OBJECTS, "answer": "later"}, "the answer 'later'"),
    ({"text": TEXT, "spans": [{"start": 2, "end": 6}]}, "a span that has no label ([2, 6])"),
    ({"text": TEXT, "spans": [{"start": 2, "end": 6, "text": "Anna", "label": None}]}, "no label ('Anna' [2, 6])"),
    ({"text": TEXT, "spans": [{"start": 2, "end": 6, "label": 1}]}, "whose label is the number 1, not a name ([2, 6])"),
    ({"text": " ", "spans": []}, "no text"),
]


@pytest.mark.parametrize(("row", "says"), BAD)
def test_bad_rows_are_told_and_can_be_left_out(tmp_path, row, says):
    path = write(tmp_path / "a.jsonl", LAYOUTS["objects of start, end and label (column 'spans')"], row)
    told = fault(path)
    assert says in told
    assert "(line 2)" in told
    rows = read_tagged(path, skip_bad_rows=True)
    assert (sentences(rows), rows.skipped) == ([(WORDS, TAGS)], (2,))


def test_tasks_of_label_studio_that_are_not_one_annotation(tmp_path):
    good, done = LAYOUTS["Label Studio"], {"result": RESULTS}
    rows = [{**good, "annotations": a} for a in ([], [done, done])]
    path = write(tmp_path / "a.jsonl", good, *rows, {**good, "data": {"n": 1}})
    told = fault(path)
    assert "1 row with no annotation (line 2)" in told
    assert "several annotations, none of them the ground truth (line 3)" in told
    assert "no text in its data (line 4)" in told
    true = {**good, "annotations": [{"result": []}, {**done, "ground_truth": True}]}
    assert sentences(read_tagged(write(path, true))) == [(WORDS, TAGS)]


def test_tasks_that_an_annotator_skipped_or_a_reviewer_rejected_are_left_out(tmp_path):
    good, done = LAYOUTS["Label Studio"], {"result": RESULTS}
    reviewed = {**done, "reviews": [{"accepted": True}, {"accepted": False}]}
    rows = [{**good, "annotations": [a]} for a in ({**done, "was_cancelled": True}, {"skipped": True}, reviewed)]
    read = read_tagged(write(tmp_path / "a.jsonl", *rows, good))
    assert (sentences(read), read.skipped, read.left_out) == ([(WORDS, TAGS)], (), (1, 2, 3))
    assert "left out 3 rows with an annotation that was skipped or rejected (lines 1, 2, 3)." in read.notes[-1]


OFF = {"text": "in Berlin, New York City", "spans": [[3, 6, "LOC"], [11, 24, "LOC"], [11, 19, "LOC"], [2, 3, "X"]]}


def test_no_span_vanishes(tmp_path):
    odd = {"start": 0, "end": 1, "label": "A"}
    ((_, tags),) = sentences(read_tagged(write(tmp_path / "a.jsonl", {"text": "a b", "spans": [odd | {"parts": -3}]})))
    assert tags == ["B-A", "O"]
    result = [{"value": {"start": "/p[1]", "hypertextlabels": ["A"]}}]
    task = {"data": {"text": "a b"}, "annotations": [{"result": result}]}
    assert "a span by XPath without globalOffsets (/p[1])" in fault(write(tmp_path / "a.jsonl", task))


def test_spans_off_words_stop_the_run_and_are_listed(tmp_path):
    told = fault(write(tmp_path / "a.jsonl", OFF))
    assert "a.jsonl has 3 spans that do not align with words: line 1: X [2, 3] ' ' in 'in Berlin, New Yor' " in told
    assert "line 1: LOC [3, 6] 'Ber' in 'in Berlin, New York C' cuts a word; " in told
    assert "LOC [11, 19] 'New York' in 'in Berlin, New York City' overlaps LOC [11, 24]. Mend them, or give " in told
    assert "--misaligned snap" in told
    many = fault(write(tmp_path / "a.jsonl", *[OFF] * 3000))
    assert "has 9,000 spans" in many
    assert "; and 8,995 more (all are listed in " in many
    listed = Path(re.search(r"listed in (.+?misaligned-\S+\.txt)\)", many)[1])
    lines = listed.read_text().splitlines()
    listed.unlink()
    assert len(set(lines)) == 9000
    assert lines[-1].startswith(f"{tmp_path / 'a.jsonl'}, line 3000: LOC [11, 19] 'New York' in 'in Berlin, New York")
    rows = read_tagged(write(tmp_path / "a.jsonl", OFF, {"text": "a b", "spans": [[0, 1, "LOC"]]}), skip_bad_rows=True)
    assert rows.skipped == (1,)


def test_spans_off_words_are_widened_or_left_out(tmp_path):
    path = write(tmp_path / "a.jsonl", OFF)
    snapped, dropped = (read_tagged(path, misaligned=manner) for manner in ("snap", "drop"))
    assert snapped.data[0]["tags"] == ["O", "B-LOC", "O", "B-LOC", "I-LOC", "I-LOC"]
    assert dropped.data[0]["tags"] == ["O", "O", "O", "B-LOC", "I-LOC", "I-LOC"]
    assert "widened 1 span to whole words and left out 2 that do not align" in snapped.notes[-1]
    assert "cuts a word, now 'Berlin'" in snapped.notes[-1]
    assert "left out 3 that do not align with words (of overlapping spans the longest was kept)" in dropped.notes[-1]
    assert [len(rows.misaligned) for rows in (snapped, dropped)] == [3, 3]
    many = read_tagged(write(tmp_path / "a.jsonl", *[OFF] * 500), misaligned="drop")
    assert len(set(many.misaligned)) == 1500
    assert many.misaligned[-1].startswith(f"{tmp_path / 'a.jsonl'}, line 500: LOC [11, 19] 'New York' in")
    with pytest.raises(nt.OptionError, match="strict, snap, drop; got grow"):
        read_tagged(path, misaligned="grow")
    with pytest.raises(nt.OptionError, match="strict, snap or drop; got grow"):
        nt.DataOptions(misaligned="grow")


def test_every_span_of_all_splits_is_listed_once(tmp_path):
    train = write(tmp_path / "a.jsonl", *[OFF] * 20)
    test = write(tmp_path / "b.jsonl", OFF)
    splits = nt.load_splits(nt.DataOptions(train_file=str(train), test_file=str(test), misaligned="snap"), "ner")
    assert splits.validation is not None  # held out of train
    assert len(splits.misaligned()) == 3 * 21
    assert (
        f"{test}, line 1: LOC [3, 6] 'Ber' in 'in Berlin, New York C' cuts a word, now 'Berlin'" in splits.misaligned()
    )


@pytest.fixture
def brat(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "more").mkdir(parents=True)
    for name, mark in (("a", b""), ("more/b", b"\xef\xbb\xbf")):
        (folder / f"{name}.txt").write_bytes(mark + b"One.\r\nAnna met\r\nJo")
        (folder / f"{name}.ann").write_bytes(
            b"T1\tPER 6 10\tAnna\r\nR1\tMet Arg1:T1 Arg2:T2\r\nT2\tPER 16 18\tJo\r\n#1\tAnnotatorNotes T1\tno\r\n"
        )
    (folder / "annotation.conf").write_text("[entities]\nPER\n")
    return folder


def test_brat(brat):
    rows = read_tagged(brat)
    assert sentences(rows) == [(["One", ".", "Anna", "met", "Jo"], ["O", "O", "B-PER", "O", "B-PER"])] * 2
    (note,) = rows.notes
    assert note.startswith(f"{brat}: texts with character spans of brat (.txt, .ann)")
    (brat / "a.ann").write_text("T1\tPER 6 9;16 18\tAnn Jo\n")
    assert "a.txt: PER [6, 18] 'Anna met\\r\\nJo' in 'One.\\r\\nAnna met\\r\\nJo' is in 2 parts" in fault(brat)
    assert read_tagged(brat, misaligned="snap").data[0]["tags"] == ["O"] * 5


def test_brat_without_a_whole_document(tmp_path):
    (tmp_path / "a.ann").write_text("T1\tPER 0 4\tAnna\n")
    assert "no row that can be used: it has 1 row with no .txt beside it (file a.ann)" in fault(tmp_path)


def test_brat_documents_that_are_not_whole(brat):
    (brat / "a.ann").write_text("T1\tPER six ten\tAnna\n")
    (brat / "c.txt").write_text("Anna")
    (brat / "d.ann").write_text("")
    told = fault(brat)
    assert "1 row with a line that is no annotation of brat (file a.ann, line 1)" in told
    assert "1 row with no .ann beside it (file c.txt)" in told
    assert "1 row with no .txt beside it (file d.ann)" in told
    assert read_tagged(brat, skip_bad_rows=True).skipped == ("a.ann, line 1", "c.txt", "d.ann")


def test_docbin_of_spacy(tmp_path, monkeypatch):
    tokens = pytest.importorskip("spacy.tokens")
    vocab = pytest.importorskip("spacy.vocab").Vocab()
    doc = tokens.Doc(vocab, words=["Anna", " ", "Berg", "sang", "\n"])
    doc.ents = [tokens.Span(doc, 0, 3, label="PER")]
    tokens.DocBin(docs=[doc, tokens.Doc(vocab, words=["No", "one"])]).to_disk(tmp_path / "a.spacy")
    rows = read_tagged(tmp_path / "a.spacy")
    assert sentences(rows) == [(["Anna", "Berg", "sang"], ["B-PER", "I-PER", "O"]), (["No", "one"], ["O", "O"])]
    (tmp_path / "b.spacy").write_bytes(b"no DocBin")
    assert "damaged or no DocBin" in fault(tmp_path / "b.spacy")


def test_docbin_without_spacy_says_what_to_install(tmp_path, monkeypatch):
    whole = builtins.__import__

    def without_spacy(name, *rest, **more):
        if name.startswith("spacy"):
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_spacy)
    (tmp_path / "a.spacy").write_bytes(b"x")
    assert "pip install spacy" in fault(tmp_path / "a.spacy")


def test_a_source_of_texts_with_spans_is_tagged(tmp_path, brat):
    rows = [{"text": f"{name} sang", "label": [[0, len(name), "PER"]]} for name in ("Anna", "Jo")]
    assert read_source(str(write(tmp_path / "a.jsonl", *rows)))[1] == "tags"
    assert read_source(str(brat), beside_tags=True)[1] == "tags"
