"""Copies are found in a split and between splits, and nothing else is."""

from __future__ import annotations

import pytest
from made import FILLER, lines, parts, sentences, texts

import nlp_transfer as nt
from nlp_transfer.checks.duplicates import contradictions, duplicates, leaks, repeated
from nlp_transfer.checks.quick_check import check_quickly


def test_copies_of_train_in_test_are_found_and_no_other_row_is(tmp_path):
    test = [("new", "a"), ("Row  ONE is like no other", "a"), ("row one", "b"), (FILLER[2][0], "a")]
    (finding,) = leaks(parts(texts(tmp_path, FILLER, None, test)))
    assert (finding.severity, finding.repeats, lines(finding)) == ("error", "train", [2, 4])
    assert finding.examples[0].note.endswith("train.jsonl, line 1")
    assert "2 of 4 (50.0%) test rows" in finding.what


def test_copies_of_validation_in_test_are_a_warning(tmp_path):
    (finding,) = leaks(parts(texts(tmp_path, FILLER, [("same", "a")], [("same", "a"), ("other", "a")])))
    assert (finding.severity, finding.repeats, lines(finding)) == ("warning", "validation", [1])


def test_unicode_forms_of_a_text_are_one_text(tmp_path):
    train = [("café ﬁne", "a"), ("cafe fine", "b"), ("cafe\u0301 fine", "a")]
    (finding,) = duplicates(parts(texts(tmp_path, train)))
    assert lines(finding) == [3]


def test_a_text_with_two_labels_is_a_contradiction_wherever_its_rows_stand(tmp_path):
    train = [*FILLER, ("same", "a"), ("agreed", "a")]
    (finding,) = contradictions(parts(texts(tmp_path, train, None, [("same", "b"), ("agreed", "a")])))
    assert [(place.split, place.line) for place in finding.places] == [("train", 5), ("test", 1)]
    assert [example.note for example in finding.examples] == ["a", "b"]


def test_scores_of_one_text_may_differ(tmp_path):
    train = [(f"text {i}", f"{i / 10}") for i in range(30)]
    found = repeated(parts(texts(tmp_path, [*train, ("text 1", "2.7")])))
    assert [finding.kind for finding in found] == ["duplicate"]


def test_labels_that_are_numbers_of_classes_are_names(tmp_path):
    train = [(f"text {i}", f"{i}") for i in range(30)]
    found = repeated(parts(texts(tmp_path, [*train, ("text 1", "2")])))
    assert [finding.kind for finding in found] == ["contradiction", "duplicate"]


def test_several_labels_are_the_same_in_any_order(tmp_path):
    rows = [*FILLER, ("same", ["a", "b"]), ("same", ["b", "a"]), ("torn", ["a", "b"]), ("torn", ["a"])]
    (finding,) = contradictions(parts(texts(tmp_path, [(text, list(labels)) for text, labels in rows])))
    assert lines(finding) == [7, 8]


def test_sentences_are_compared_by_words_and_by_tags(tmp_path):
    one = [("Anna", "B-PER"), ("left", "O")]
    other = [("Anna", "O"), ("left", "O")]
    found = list(repeated(parts(sentences(tmp_path, [one, one, other], [other]))))
    assert {finding.kind: lines(finding) for finding in found} == {
        "leak": [1], "contradiction": [1, 2, 3, 1], "duplicate": [2, 3]
    }  # fmt: skip


def test_a_run_is_told_in_five_lines_at_most(tmp_path):
    train = [("same", "a"), ("same", "b"), ("x\ufffd", "A"), ("y", "a"), ("y", "a"), ("z", "B"), ("u", "b")]
    splits = texts(tmp_path, train, [("same", "a"), ("x\ufffd", "a")], [("same", "b"), ("x\ufffd", "a")])
    notes = check_quickly(splits).notes
    assert len(notes) == 5
    assert notes[0].startswith("Data: ")
    assert "check_data shows all" in notes[-1]
    (tmp_path / "clean").mkdir()
    assert check_quickly(texts(tmp_path / "clean", FILLER, None, [("new", "a")])).notes == ()


def test_strict_data_stops_on_leaks_and_on_nothing_else(tmp_path):
    leaking = texts(tmp_path, FILLER, None, [("new", "a"), FILLER[0]])
    with pytest.raises(
        nt.DataError, match=r"1 of 2 \(50.0%\) test rows are also in train .*test.jsonl, line 2"
    ) as raised:
        check_quickly(leaking, strict=True)
    assert "\n" not in str(raised.value)
    twice = texts(tmp_path, [*FILLER, FILLER[0]], None, [("new", "a")])
    assert len(check_quickly(twice, strict=True).notes) == 1
