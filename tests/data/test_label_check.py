"""Labels that cannot be trained on get one line: what, where, how to mend it."""

from __future__ import annotations

import datasets
import pytest

from nlp_transfer.data.label_check import check_labels, check_tags
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import DataError


def rows(source, values, role="label"):
    data = datasets.Dataset.from_dict({role: values, "line": list(range(2, len(values) + 2))})
    if role == "tags":
        data = data.add_column("words", [["word"] * len(some) for some in values])
    return Rows(data, source, (), {role: "kind"}, "")


def labels(train, validation=("a",), test=None):
    test_rows = None if test is None else rows("test.csv", test)
    return Splits(rows("train.csv", train), rows("dev.csv", validation), test_rows)


def tags(train, validation=(("O",),), test=None):
    test_rows = None if test is None else rows("test.conll", test, "tags")
    return Splits(rows("train.conll", train, "tags"), rows("dev.conll", validation, "tags"), test_rows)


def complaint(check, splits, *parts, **options):
    with pytest.raises(DataError) as caught:
        check(splits, **options)
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line
    return line


def test_labels_that_are_fit():
    check_labels(labels(["a", "b"]))
    check_labels(labels(["a", "b"], ["b"], ["a", "b"]))


def test_one_label_only():
    complaint(check_labels, labels(["a", "a"]), "train.csv", "all 2 training rows", "'a'", "--label_column_name")


def test_labels_that_training_never_saw():
    splits = labels(["joy", "anger"] * 4, ["joy"], ["joy", "Joy", "fear", "fear"])
    line = complaint(check_labels, splits, "test.csv (test) has 2 labels", "train.csv", "Correct them")
    assert "'Joy' (line 3; did you mean 'joy'?), 'fear' (lines 4, 5)" in line
    complaint(check_labels, labels(["a", "b"] * 4, ["a", "c"]), "dev.csv (validation) has one label", "'c' (line 3)")


def test_many_unseen_labels_stay_one_short_line():
    splits = labels(["a", "b"] * 50, [f"x{i}" for i in range(50)])
    assert len(complaint(check_labels, splits, "50 labels")) < 400


def test_fewer_rows_than_labels():
    complaint(check_labels, labels(["a", "b"], ["c", "d"]), "train.csv has 2 training rows for 4 labels", "add rows")


def test_numbers():
    check_labels(labels([-2.5, 1.0, 0.01], [3.0]))
    complaint(check_labels, labels([0.5, 0.5], [1.0]), "all 2 training rows have the one number '0.5'", "add rows")


def test_several_labels():
    check_labels(labels([["a"], [], ["a", "b"]], [[], ["b"]]))
    complaint(check_labels, labels([["a"], ["b"]], [["a", "B"]]), "dev.csv (validation)", "'B' (line 2; did you mean")
    complaint(check_labels, labels([["a"], []]), "only one label, 'a'", "--problem single_label")
    complaint(check_labels, labels([[], []]), "no training row has a label")


@pytest.mark.parametrize("scheme", ["O I-PER B-PER", "O B-PER I-PER", "B-PER E-PER S-PER", "B-PER L-PER U-PER"])
def test_schemes_that_are_known(scheme):
    check_tags(tags([scheme.split()], [["O"]], [scheme.split()]))


@pytest.mark.parametrize("tag", ["PER", "B_PER", "X-PER", "B-", "o", "0", "-PER"])
def test_an_unknown_scheme(tag):
    splits = tags([["O", "B-PER"]], [["O"], ["O", tag]])
    complaint(check_tags, splits, "dev.conll, sentence at line 3", f"unknown tag scheme, '{tag}'", "IOB1, IOB2, BIOES")


def test_no_entity_in_training():
    complaint(check_tags, tags([["O"], ["O", "O"]]), "train.conll", "no training sentence holds an entity", "B-PER")


def test_an_entity_type_that_training_never_saw():
    splits = tags([["B-PER", "I-PER"]], [["B-PER"]], [["O"], ["B-LOC", "I-LOC"]])
    complaint(
        check_tags, splits, "test.conll (test) has one entity type", "'LOC' (line 3)", "train.conll", "add such rows"
    )
