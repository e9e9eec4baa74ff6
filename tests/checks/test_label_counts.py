"""Labels are counted, and reported where they look alike, are rare or uneven."""

from __future__ import annotations

from made import lines, parts, sentences, texts

import nlp_transfer as nt
from nlp_transfer.checks.check_data import check_data
from nlp_transfer.checks.checked_rows import labels_of
from nlp_transfer.checks.label_counts import count_labels, label_findings
from nlp_transfer.checks.read_for_checks import read_for_checks
from nlp_transfer.config import CheckOptions


def found_in(splits):
    seen = parts(splits)
    return {finding.kind: finding for finding in label_findings(seen, count_labels(seen))}


def test_labels_that_look_alike_are_reported_and_others_are_not(tmp_path):
    train = [(f"text {i}", label) for i, label in enumerate(["spam"] * 9 + ["Spam", "ｓpam"] + ["ham"] * 9)]
    finding = found_in(texts(tmp_path, train))["labels_alike"]
    assert lines(finding) == [10, 11]
    assert "'spam' (9)" in finding.what
    assert "ham'" not in finding.what.replace("spam'", "")


def test_even_labels_are_not_reported(tmp_path):
    assert found_in(texts(tmp_path, [(f"text {i}", "ab"[i % 2]) for i in range(40)])) == {}


def test_rare_and_uneven_labels_are_reported(tmp_path):
    train = [(f"text {i}", "often" if i else "once") for i in range(30)]
    found = found_in(texts(tmp_path, train))
    assert lines(found["rare_label"]) == [1]
    assert "'often' is 29 times as frequent" in found["imbalance"].what


def test_scores_are_not_classes(tmp_path):
    assert found_in(texts(tmp_path, [(f"text {i}", f"{i / 7:.3f}") for i in range(40)])) == {}


def test_numbers_are_no_classes_however_few_there_are(tmp_path):
    (tmp_path / "train.jsonl").write_text("".join(f'{{"text": "text {i}", "score": {i % 3}}}\n' for i in range(9)))
    options = nt.DataOptions(train_file=str(tmp_path / "train.jsonl"), problem="regression")
    splits, _ = read_for_checks(options, "classification")
    assert found_in(splits) == {}
    (finding,) = check_data(splits, options=CheckOptions(label_errors=True)).findings[:1]
    assert "the labels are scores" in finding.what


def test_entities_are_counted_and_not_words(tmp_path):
    two = [("Anna", "B-PER"), ("Berg", "I-PER"), ("Bo", "B-PER"), ("in", "O"), ("Oslo", "I-LOC"), ("Oslo", "I-LOC")]
    assert count_labels(parts(sentences(tmp_path, [two, two])))["train"] == {"PER": 4, "LOC": 2}


def test_a_label_may_be_a_list_or_a_number():
    assert labels_of(["b", "a"]) == ("b", "a")
    assert labels_of(2.5) == ("2.5",)
    assert labels_of("one") == ("one",)
