"""A form of file of a user's own is trained on, checked and predicted like those of the package."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

import nlp_transfer as nt
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.readers import FOLDER, BadRow, Record, Table, reader_registry, text_lines
from nlp_transfer.data.source_rows import is_tagged, read_source


def pipe_table(path: Path, delimiter: str = "|") -> Table:
    """`label|text` a line."""

    def records(columns: object) -> Iterator[Record | BadRow]:
        for number, line in text_lines(path):
            fields = line.strip().split(delimiter)
            if len(fields) == 2:
                yield Record(number, {"label": fields[0], "text": fields[1]})
            else:
                yield BadRow(number, f"{len(fields)} fields", number)

    return Table(("label", "text"), records, notes=(f"{path}: read as pipes.",))


def tagged_table(path: Path) -> Table:
    """`word|tag word|tag` a line."""

    def records(columns: object) -> Iterator[Record]:
        for number, line in text_lines(path):
            words, tags = zip(*(token.split("|") for token in line.split()), strict=True)
            yield Record(number, {"words": list(words), "tags": list(tags)})

    return Table(("words", "tags"), records)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(reader_registry, "_READERS", deepcopy(reader_registry._READERS))
    nt.register_reader(".pipe", read=pipe_table, options=["delimiter"])
    nt.register_reader(".TAGS", read=tagged_table, uses=["tags", "prediction"])


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.pipe"
    path.write_text("".join(f"{'ab'[i % 2]}|text {i}\n" for i in range(20)))
    return path


def texts_to_predict(path, *, tagged=False, **options):
    options = nt.PredictionOptions("model", input_file=str(path), output_file="out.jsonl", **options)
    return open_texts(options, tagged=tagged)


def test_rows_of_a_new_form_are_trained_on_and_predicted(rows):
    splits = nt.load_splits(nt.DataOptions(train_file=str(rows)), "classification")
    labelled = [*splits.train.data, *splits.validation.data]
    assert sorted((row["line"], row["text"], row["label"]) for row in labelled) == [
        (i + 1, f"text {i}", "ab"[i % 2]) for i in range(20)
    ]
    assert splits.train.columns == {"text": "text", "label": "label"}
    assert f"{rows}: read as pipes." in splits.notes
    assert [(text.line, text.text) for text in texts_to_predict(rows)] == [(i + 1, f"text {i}") for i in range(20)]
    assert read_source(str(rows))[1] == "labels"


def test_words_and_tags_of_a_new_form(tmp_path):
    path = tmp_path / "rows.tags"
    path.write_text("Ann|B-PER sang|O\nBo|B-PER ran|O\nit|O rained|O\n")
    splits = nt.load_splits(nt.DataOptions(train_file=str(path), validation_file=str(path)), "ner")
    assert splits.train.data["words"][0] == ["Ann", "sang"]
    assert splits.train.data["tags"][0] == ["B-PER", "O"]
    assert [text.text for text in texts_to_predict(path, tagged=True)][1] == ["Bo", "ran"]
    assert is_tagged(str(path), None, False)


def test_bad_rows_and_other_uses_of_a_new_form_are_one_line(rows, tmp_path):
    with open(rows, "a") as file:
        file.write("no bar\n")
    with pytest.raises(nt.DataError, match=r"has 1 row with 1 fields \(line 21\)"):
        nt.load_splits(nt.DataOptions(train_file=str(rows)), "classification")
    assert texts_to_predict(rows, skip_bad_rows=True).skipped == 1
    (tmp_path / "a.tags").write_text("Ann|B-PER\n")
    with pytest.raises(nt.DataError, match=r"'\.tags' is not supported; .*\.pipe"):
        nt.load_splits(nt.DataOptions(train_file=str(tmp_path / "a.tags")), "classification")


def test_options_reach_the_readers_that_take_them(rows, tmp_path):
    rows.write_text(rows.read_text().replace("|", "~"))
    splits = nt.load_splits(nt.DataOptions(train_file=str(rows), delimiter="~"), "classification")
    assert set(splits.train.data["label"]) == {"a", "b"}
    (tmp_path / "a.tags").write_text("Ann|B-PER\n")
    with pytest.raises(nt.OptionError, match=r"--delimiter is for files such as .*\.pipe, not for .*a\.tags"):
        nt.load_splits(nt.DataOptions(train_file=str(tmp_path / "a.tags"), delimiter="~"), "ner")


def test_the_last_reader_that_recognises_a_file_reads_it(tmp_path):
    def is_ours(path: Path) -> bool:
        return path.read_text().startswith("yes|")

    nt.register_reader(".csv", read=pipe_table, uses=["prediction"], recognises=is_ours)
    (tmp_path / "ours.csv").write_text("yes|mine\n")
    (tmp_path / "other.csv").write_text("text\ntheirs\n")
    assert [text.text for text in texts_to_predict(tmp_path / "ours.csv")] == ["mine"]
    assert [text.text for text in texts_to_predict(tmp_path / "other.csv")] == ["theirs"]
    nt.register_reader(FOLDER, read=lambda folder: pipe_table(folder / "ours.csv"))
    assert [text.text for text in texts_to_predict(tmp_path)] == ["mine"]


@pytest.mark.parametrize("suffix", ["pipe", "", "."])
def test_a_suffix_without_its_dot_and_an_unknown_use_are_refused(suffix):
    with pytest.raises(nt.OptionError, match=rf"such as '\.pipe', or for FOLDER; got '{suffix}'"):
        nt.register_reader(suffix, read=pipe_table)
    with pytest.raises(nt.OptionError, match="labels, tags, prediction, words; got 'test'"):
        nt.register_reader(".pipe", read=pipe_table, uses=["test"])
