"""Rows to predict are read as the run of the model has read its own, unless that does not fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

import nlp_transfer as nt
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.remembered_reading import as_in_training

BODY = {"text_column_name": "body"}
PAIR = BODY | {"text_pair_column_name": "reply"}
COLUMNS = {"text_column_name": "tokens", "conll_columns": "1"}
CONLL = "1 Anna B-PER\n2 was O\n\n1 Oslo B-LOC\n"
WORDS = [["Anna", "was"], ["Oslo"]]


def read(folder: Path, name: str, content: str, remembered: dict[str, Any], tagged: bool = False, **given: Any):
    """The texts of a file, and what the user is told."""
    (folder / name).write_text(content)
    options = nt.PredictionOptions(
        model_name_or_path="runs/mine", output_file="out.jsonl", input_file=str(folder / name), **given
    )
    options, notes = as_in_training(options, remembered, tagged=tagged)
    texts = open_texts(options, tagged=tagged)
    return [row.text for row in texts], [note.replace(f"{folder}/", "") for note in notes]


TAKEN = [
    ("in.csv", "id,body,text\n1,a,b\n", BODY, ["a"], "--text_column_name body"),
    ("in.csv", "body;text\na,b;c\n", BODY | {"delimiter": ";"}, ["a,b"], "--text_column_name body, --delimiter ';'"),
    ("in.jsonl", '{"body": "a", "text": "b"}\n', BODY | {"delimiter": ";"}, ["a"], "--text_column_name body"),
    ("in.csv", "body,reply\na,b\n", PAIR, [["a", "b"]], "--text_column_name body, --text_pair_column_name reply"),
    ("in.csv", "text#x\na#b\n", {"delimiter": "#"}, ["a"], "--delimiter '#'"),
]


@pytest.mark.parametrize(("name", "content", "remembered", "texts", "flags"), TAKEN)
def test_what_the_run_was_told_is_taken_and_said_in_a_line(tmp_path, name, content, remembered, texts, flags):
    assert read(tmp_path, name, content, remembered) == (texts, [f"As in training (runs/mine): {flags}."])


def test_what_is_given_counts_and_of_nothing_nothing_is_said(tmp_path):
    content = "body;other\na;b\n"
    both = BODY | {"delimiter": "#"}
    assert read(tmp_path, "in.csv", content, both, text_column_name="other", delimiter=";") == (["b"], [])
    assert read(tmp_path, "in.csv", "text\na\n", {}) == (["a"], [])
    assert read(tmp_path, "in.csv", "text\na\n", {"delimiter": ","}, delimiter="comma") == (["a"], [])


def test_a_column_that_is_not_there_gives_way_to_one_with_a_usual_name(tmp_path):
    note = "in.csv has no column 'body', as in training: 'text' is read instead."
    assert read(tmp_path, "in.csv", "id,text\n1,a\n", BODY) == (["a"], [note])
    assert read(tmp_path, "in.csv", "text,reply\na,b\n", PAIR) == (
        [["a", "b"]], ["As in training (runs/mine): --text_pair_column_name reply.", note]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "remembered", "message"),
    [
        ("Body,x\n1,a\n", BODY, "no column 'body' (did you mean 'Body'?); its columns are: Body, x. Name the right one "
         "with --text_column_name. In training it was 'body'."),
        ("body,x\n1,a\n", PAIR, "no column 'reply'; its columns are: body, x. Name the right one with "
         "--text_pair_column_name. In training it was 'reply'."),
    ],
)  # fmt: skip
def test_where_no_column_has_a_usual_name_the_one_of_training_is_named(tmp_path, content, remembered, message):
    with pytest.raises(nt.DataError) as error:
        read(tmp_path, "in.csv", content, remembered)
    assert message in str(error.value)


def test_a_delimiter_that_leaves_no_column_for_the_text_is_not_taken(tmp_path):
    note = "in.csv does not fit --delimiter ';', as in training (runs/mine): it is read without."
    assert read(tmp_path, "in.csv", "id,text\n1,a\n", {"delimiter": ";"}) == (["a"], [note])
    taken = "As in training (runs/mine): --text_column_name body."
    assert read(tmp_path, "in.csv", "id,body\n1,a\n", BODY | {"delimiter": ";"}) == (["a"], [taken, note])


def test_columns_of_words_are_taken_where_there_is_a_word_a_line(tmp_path):
    for name in ("in.conll", "in.tsv"):
        content = CONLL.replace(" ", "\t") if name == "in.tsv" else CONLL.replace("1 ", "x ").replace("2 ", "y ")
        expected = (WORDS, ["As in training (runs/mine): --conll_columns 1."])
        assert read(tmp_path, name, content, COLUMNS, tagged=True) == expected


def test_a_tagger_trained_on_words_takes_texts_too(tmp_path):
    note = "{} has no column 'tokens', as in training: 'text' is read instead."
    for name, content in (("in.tsv", "id\ttext\n1\ta\n"), ("in.csv", "id,text\n1,a\n"), ("in.txt", "a\n")):
        assert read(tmp_path, name, content, COLUMNS, tagged=True) == (["a"], [note.format(name)])
    taken = ["As in training (runs/mine): --text_column_name body."]
    assert read(tmp_path, "in.tsv", "id\tbody\n1\ta\n", BODY, tagged=True) == (["a"], taken)
    assert read(tmp_path, "in.conll", "Anna\nwas\n\nOslo\n", BODY, tagged=True) == (WORDS, [])


def test_a_column_of_words_that_is_not_there_is_not_taken(tmp_path):
    note = "in.conll does not fit --conll_columns 1, as in training (runs/mine): it is read without."
    assert read(tmp_path, "in.conll", "Anna\nwas\n\nOslo\n", COLUMNS, tagged=True) == (WORDS, [note])


def test_what_cannot_be_read_is_told_as_ever(tmp_path):
    for name, content, message in (
        ("in.csv", "", "in.csv is empty"),
        ("in.xyz", "a", "the suffix '.xyz' is not supported"),
        ("in.jsonl", "{\n", "broken JSON"),
    ):
        with pytest.raises(nt.DataError, match=message):
            read(tmp_path, name, content, BODY | {"delimiter": ";"})


def test_a_data_set_has_columns_and_no_delimiter(tmp_path):
    datasets.DatasetDict({"test": datasets.Dataset.from_dict({"body": ["a"], "text": ["b"]})}).save_to_disk(tmp_path)
    options = nt.PredictionOptions("runs/mine", output_file="out.jsonl", dataset_name=str(tmp_path))
    options, notes = as_in_training(options, BODY | {"delimiter": ";"}, tagged=False)
    assert [row.text for row in open_texts(options, tagged=False)] == ["a"]
    assert notes == ("As in training (runs/mine): --text_column_name body.",)
