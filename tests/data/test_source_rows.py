"""A source is read as what it is, and its faults are told in the words of its own flags."""

from __future__ import annotations

import json

import pytest
from conftest import review_lines, sentence_lines
from datasets import Dataset

import nlp_transfer as nt
from nlp_transfer.data.source_rows import read_source

REVIEWS = [{"text": text, "label": label} for text, label in review_lines(8)]
SENTENCES = [{"tokens": [w for w, _ in s], "tags": [t for _, t in s]} for s in sentence_lines(8)]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize(("rows", "kind"), [(REVIEWS, "labels"), (SENTENCES, "tags")])
def test_lists_of_words_are_tagged_and_texts_are_not(tmp_path, suffix, rows, kind):
    path = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        path.write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    for beside_tags in (False, True):
        read, found = read_source(str(path), beside_tags=beside_tags)
        assert (found, len(read.data)) == (kind, 8)


def test_columns_of_any_name_can_be_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"w": r["tokens"], "t": r["tags"]}) for r in SENTENCES))
    assert read_source(str(path), "w", "t")[1] == "tags"
    path.write_text("\n".join(json.dumps({"tokens": 3, "body": r["text"], "label": r["label"]}) for r in REVIEWS))
    assert read_source(str(path), "body")[1] == "labels"


def test_the_suffix_says_the_rest(tmp_path, reviews, sentences):
    assert read_source(reviews["train"], beside_tags=True)[1] == "labels"
    assert read_source(sentences["train"])[1] == "tags"
    tabs = tmp_path / "rows.tsv"
    tabs.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in review_lines(8)))
    assert read_source(str(tabs))[1] == "labels"
    tabs.write_text("".join("".join(f"{w}\t{t}\n" for w, t in s) + "\n" for s in sentence_lines(8)))
    assert read_source(str(tabs), beside_tags=True)[1] == "tags"


def test_raw_text_is_a_text_a_line(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("good coffee \n\n  \na bad, bad train\n")
    rows, kind = read_source(str(path))
    assert kind == "text"
    assert rows.data[:] == {"text": ["good coffee", "a bad, bad train"], "line": [1, 4]}


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("raw.txt", "\n \n", "raw.txt holds no text; give a file with one text a line."),
        ("raw.txt", "", "raw.txt is empty"),
        ("a.csv", "body,label\nx,y\n", "Name the right one with --source_text_column_name."),
        ("a.csv", "text,kind\nx,y\n", "Name the right one with --source_label_column_name."),
        ("a.csv", "text,label\nx,\ny,b\n", "a.csv has 1 row with no label (line 2). Mend them."),
        ("a.csv", "text,label\nx,y\nz,y\n", "or name another column than 'label' with --source_label_column_name."),
        ("a.conll", "word\tO\n", "no training sentence holds an entity"),
        ("a.docx", "x", "a.docx: the suffix '.docx' is not supported"),
        (None, "", "does not exist; nor does its folder"),
    ],
)
def test_faults_are_one_line_in_words_of_the_source(tmp_path, name, content, fault):
    path = tmp_path / (name or "no/such.csv")
    if name:
        path.write_text(content)
    with pytest.raises(nt.DataError) as refused:
        read_source(str(path))
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)
    assert " --text_column_name" not in str(refused.value)
