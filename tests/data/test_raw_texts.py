"""Raw texts are read without their labels, and test rows beside them with theirs."""

from __future__ import annotations

import pytest

from nlp_transfer.config import ZeroShotOptions
from nlp_transfer.data.raw_texts import load_raw_texts
from nlp_transfer.errors import DataError


def options(**given):
    return ZeroShotOptions(**{"label_names": ["a", "b"], "text_file": "raw.csv"} | given)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.csv").write_text("body,label\none,a\ntwo,b\nthree,\n")
    (tmp_path / "test.csv").write_text("body,kind\nfour,b\nfive,a\n")


def test_labels_of_raw_texts_are_not_read():
    splits = load_raw_texts(options(text_column_name="body"), ["a", "b"])
    assert splits.train.data.column_names == ["text", "line"]
    assert list(splits.train.data["text"]) == ["one", "two", "three"]
    assert not splits.train.has_labels
    assert splits.scored is None


def test_test_rows_have_labels_in_their_own_column():
    given = options(text_column_name="body", test_file="test.csv", label_column_name="kind")
    splits = load_raw_texts(given, ["a", "b"])
    assert list(splits.test.data["label"]) == ["b", "a"]
    assert splits.scored is splits.test


def test_a_text_column_that_only_the_raw_texts_have_need_not_be_in_test(tmp_path):
    (tmp_path / "raw.csv").write_text("text\none\ntwo\n")
    (tmp_path / "test.csv").write_text("sentence,label\nfour,b\n")
    splits = load_raw_texts(options(test_file="test.csv"), ["a", "b"])
    assert list(splits.test.data["text"]) == ["four"]


def test_a_label_without_a_description_is_named_with_its_line(tmp_path):
    (tmp_path / "labels.yaml").write_text("a: x\nb: y\n")
    given = options(
        label_names=[], labels_file="labels.yaml", text_column_name="body", test_file="test.csv",
        label_column_name="kind",
    )  # fmt: skip
    (tmp_path / "test.csv").write_text("body,kind\nfour,b\nfive,c\nsix,c\n")
    with pytest.raises(DataError, match=r"test.csv has one label that labels.yaml lacks: 'c' \(lines 3, 4\)"):
        load_raw_texts(given, ["a", "b"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text\n", "raw.csv holds"), ("words\none\n", "no column with a usual name for the text"),
        ("text\none\n", "raw.csv has 1 raw text for 2 labels"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(tmp_path, content, says):
    (tmp_path / "raw.csv").write_text(content)
    with pytest.raises(DataError, match=says):
        load_raw_texts(options(), ["a", "b"])
