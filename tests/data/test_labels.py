"""One label, several, or a number: what a file says is what the rows hold, and what is not so has its line told."""

from __future__ import annotations

import csv
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nlp_transfer as nt
from nlp_transfer.data.labels import LabelForm, problem_of
from nlp_transfer.data.read_rows import read_classification
from nlp_transfer.data.splits import hold_out


@pytest.fixture
def write(tmp_path):
    def to(name, *lines):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(tmp_path / name)

    return to


SEVERAL = [["joy", "trust"], [], ["anger"]]


def test_the_same_several_labels_from_every_form(write, tmp_path):
    marks = [(int("joy" in row), int("trust" in row), int("anger" in row)) for row in SEVERAL]
    lists = write("a.jsonl", *(json.dumps({"text": "t", "label": row}) for row in SEVERAL))
    parted = write("a.csv", "text,label", *(f"t,{' ; '.join(row)}" for row in SEVERAL))
    marked = write("b.csv", "text,joy,trust,anger", *(f"t,{a},{b},{c}" for a, b, c in marks))
    pq.write_table(pa.table({"text": ["t"] * 3, "label": SEVERAL}), tmp_path / "a.parquet")
    of_columns = LabelForm(columns=("joy", "trust", "anger"))
    read = [
        read_classification(lists),
        read_classification(tmp_path / "a.parquet"),
        read_classification(parted, labels=LabelForm(delimiter=";")),
        read_classification(marked, labels=of_columns),
    ]
    for rows in read:
        assert problem_of(rows.data) == "multi_label"
        assert list(rows.data["label"]) == SEVERAL
    assert {rows.sha256 for rows in read} == {read[0].sha256}
    assert read[3].columns == {"text": "text", "label": "joy, trust, anger"}


def test_numbers_are_read_as_numbers(write):
    path = write("a.csv", "text,score", "t,1.5", "t, -2 ", "t,1e3")
    rows = read_classification(path, labels=LabelForm("regression"))
    assert (problem_of(rows.data), list(rows.data["label"])) == ("regression", [1.5, -2.0, 1000.0])


@pytest.mark.parametrize(
    ("form", "bad", "told"),
    [
        (LabelForm("regression"), ["nan", "inf", "good", "1_0", "1,5"], "a label that is no finite number"),
        (LabelForm("regression"), ["", " "], "no label"),
        (LabelForm("multi_label"), ["joy"], "labels that stand in no list (--label_delimiter names their separator)"),
        (LabelForm("multi_label"), [["joy", " "]], "an empty label in its list"),
        (LabelForm("multi_label"), [None], "no list of labels ([] says that a text has none)"),
        (LabelForm(columns=("label",)), ["2", "", "yes"], "neither 0 nor 1 in column 'label'"),
    ],
)
def test_a_bad_label_is_a_bad_row_with_its_line(write, form, bad, told):
    good = {"regression": "0.5", "multi_label": ["joy"]}.get(form.problem, "1")
    for value in bad:
        path = write("a.jsonl", *(json.dumps({"text": "t", "label": label}) for label in (good, value, good)))
        with pytest.raises(nt.DataError) as refused:
            read_classification(path, labels=form)
        assert f"1 row with {told} (line 2)" in str(refused.value)
        rows = read_classification(path, labels=form, skip_bad_rows=True)
        assert (len(rows.data), rows.skipped) == (2, (2,))


def test_pairs_of_texts(write):
    path = write("a.csv", "premise,hypothesis,label", "a,b,yes", "a,,no")
    with pytest.raises(nt.DataError, match=r"1 row with no second text \(line 3\)"):
        read_classification(path, "premise", pair_column="hypothesis")
    rows = read_classification(path, "premise", pair_column="hypothesis", skip_bad_rows=True)
    assert rows.data[:] == {"text": ["a"], "text_pair": ["b"], "label": ["yes"], "line": [2]}
    with pytest.raises(nt.DataError, match=r"--text_column_name and --text_pair_column_name both name 'premise'"):
        read_classification(path, "premise", pair_column="premise")
    with pytest.raises(nt.DataError, match=r"no column 'hypotesis' \(did you mean 'hypothesis'\?\)"):
        read_classification(path, "premise", pair_column="hypotesis")


def data_options(path, **options):
    return nt.DataOptions(train_file=path, **options)


def test_load_splits_tells_what_it_took_the_labels_for(write):
    numbers = write("a.csv", "text,score", *(f"text {i},{i / 7}" for i in range(60)))
    splits = nt.load_splits(data_options(numbers), "classification")
    assert problem_of(splits.train.data) == problem_of(splits.validation.data) == "regression"
    assert any("--problem single_label takes each number as a label" in note for note in splits.notes)
    assert any("stratified by tenths of the numbers" in note for note in splits.notes)
    lists = write("a.jsonl", *(json.dumps({"text": "t", "label": SEVERAL[i % 3]}) for i in range(30)))
    splits = nt.load_splits(data_options(lists), "classification")
    assert "A text may have several labels (label)." in splits.notes
    bad = write("b.csv", "text,score", *(f"text {i},{i / 7}" for i in range(60)), "t,n/a")
    with pytest.raises(nt.DataError, match=r"1 row with a label that is no finite number \(line 62\)"):
        nt.load_splits(data_options(bad), "classification")


def test_a_part_held_out_has_its_share_of_the_numbers_and_leaves_every_label(write):
    numbers = write("a.csv", "text,score", *(f"t,{(i * 37) % 200}" for i in range(200)))
    rows = read_classification(numbers, labels=LabelForm("regression"))
    _, held = hold_out(rows, 0.1, 0, "label")
    assert sorted(int(number // 20) for number in held.data["label"]) == [i for i in range(10) for _ in range(2)]
    lists = [[f"rare {i}"] if i < 10 else ["often"] * (i % 2) for i in range(100)]
    path = write("a.jsonl", *(json.dumps({"text": "t", "label": labels}) for labels in lists))
    stays, held = hold_out(read_classification(path), 0.3, 0, "label")
    assert len(stays.data) + len(held.data) == 100
    assert len({label for labels in stays.data["label"] for label in labels}) == 11


@pytest.mark.parametrize(
    "options",
    [
        {"label_columns": ["a", "b"], "problem": "regression"},
        {"label_delimiter": ";", "problem": "single_label"},
        {"label_columns": ["a"], "label_column_name": "b"},
        {"label_columns": ["a,b"], "label_delimiter": ";"},
        {"problem": "numbers"},
    ],
)
def test_flags_that_contradict_each_other_are_refused(options):
    with pytest.raises(nt.OptionError):
        nt.DataOptions(**options)


def test_flags_of_labels_are_refused_for_tags(sentences):
    with pytest.raises(nt.OptionError, match=r"--label_delimiter is for texts with labels"):
        nt.load_splits(nt.DataOptions(train_file=sentences["train"], label_delimiter=";"), "ner")


def test_columns_of_labels_are_parted_by_commas_or_blanks():
    assert nt.DataOptions(label_columns=["a,b", "c"]).label_columns == ["a", "b", "c"]


# Lists in cells


@pytest.mark.parametrize("write_list", [str, json.dumps, lambda labels: f"[{' '.join(map(repr, labels))}]"])
def test_lists_that_became_text_are_lists_again(tmp_path, write_list):
    several = [["late", "rude"], [], ["rude"], ["late"]] * 4
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "labels"), *((f"t{i}", write_list(row)) for i, row in enumerate(several))])
    rows = read_classification(tmp_path / "a.csv")
    assert list(rows.data["label"]) == several
    assert "labels are read as lists" in rows.notes[0]


def test_a_cell_that_is_no_list_among_lists_is_told(write):
    path = write("a.csv", "text,label", "a,\"['x', 'y']\"", "b,\"['x']\"", "c,x", "d,")
    with pytest.raises(nt.DataError, match=r"stand in no list .*\(line 4\), 1 row with no list of labels .*\(line 5\)"):
        read_classification(path)


def test_lists_beyond_the_first_rows_are_no_labels(write):
    rows = [f"t{i},late" for i in range(110)]
    path = write("a.csv", "text,label", *rows, "x,\"['late', 'rude']\"", 'y,"{""a"": 1}"', "z,[sic]")
    with pytest.raises(
        nt.DataError, match=r"a list of labels in a cell.*\(line 112\), 1 row with an object .*\(line 113\)"
    ):
        read_classification(path)
    assert "[sic]" in read_classification(path, skip_bad_rows=True).data["label"]


@pytest.mark.parametrize(
    "cells",
    [
        ["[late, rude]", "[rude]", "[]"],
        ["{late,rude}", "{rude}", "{}"],
        ["[np.str_('late'), np.str_('rude')]", "[np.str_('rude')]", "[]"],
    ],
)
def test_lists_of_other_tools(write, cells):
    path = write("a.csv", "text,label", *(f't{i},"{cell}"' for i, cell in enumerate(cells)))
    assert list(read_classification(path).data["label"]) == [["late", "rude"], ["rude"], []]


def test_a_delimiter_does_not_part_lists(write):
    path = write("a.csv", "text,label", 'a,"[""x"", ""y""]"', 'b,"x,y"')
    with pytest.raises(nt.DataError, match=r"a list in a cell, which needs no --label_delimiter \(line 2\)"):
        read_classification(path, labels=LabelForm(delimiter=","))


def test_other_splits_are_read_as_train_is(write):
    train = [f"t{i},{label}" for i, label in enumerate(["late", "rude"] * 20)]
    path = write("train.csv", "text,label,score", *(f"{row},{i % 2}" for i, row in enumerate(train)))
    for name, lines, message in (
        ("a.csv", ["text,label", "x,\"['late', 'rude']\""], r"several labels in its list .*\(line 2\)"),
        ("b.csv", ["text,score", "x,1", "y,0"], r"b.csv has no column 'label'.*The training rows have it"),
        ("c.csv", ["text,lable", "x,late"], r"did you mean 'lable'\?"),
        ("d.jsonl", ['{"text": "x", "label": ["late", "rude"]}'], r"several labels in its list"),
    ):
        with pytest.raises(nt.DataError, match=message):
            nt.load_splits(data_options(path, test_file=write(name, *lines)), "classification")
    lists = write("lists.csv", "text,label", *(f"t{i},\"['late', 'rude']\"" for i in range(20)), "t,['late']")
    with pytest.raises(nt.DataError, match=r"labels that stand in no list"):
        nt.load_splits(
            data_options(lists, test_file=write("e.csv", "text,label", "x,late", "y,rude")), "classification"
        )
    marks = write("marks.jsonl", *(json.dumps({"text": "t", "label": m}) for m in [[0, 1], [1, 1], [1, 0]] * 9))
    test = write("f.jsonl", *(json.dumps({"text": "t", "label": m}) for m in [[0, 1], [1, 0]]))
    splits = nt.load_splits(data_options(marks, test_file=test, label_names=["a", "b"]), "classification")
    assert list(splits.test.data["label"]) == [["b"], ["a"]]
    numbers = write("numbers.csv", "text,label", *(f"t{i},{i / 7}" for i in range(60)))
    with pytest.raises(nt.DataError, match=r"no finite number"):
        nt.load_splits(
            data_options(numbers, test_file=write("g.jsonl", '{"text": "x", "label": ["a"]}')), "classification"
        )


def test_names_that_are_numbers_are_no_ids(write):
    stars = write("a.csv", "text,label", *(f"t{i},{i % 5}" for i in range(20)))
    splits = nt.load_splits(data_options(stars, label_names=["1,2,3,4,5"]), "classification")
    assert set(splits.train.data["label"]) == {"1", "2", "3", "4", "5"}
    both = write("b.csv", "text,label", *(f"t{i},{1 + i % 4}" for i in range(20)))
    with pytest.raises(nt.DataError, match=r"may be a name or the place of one"):
        nt.load_splits(data_options(both, label_names=["1,2,3,4,5"]), "classification")


def test_labels_that_look_joined_are_noted(write):
    rows = [f"t{i},{label}" for i, label in enumerate(["late", "rude", "late;rude", "dear", "dear;late"] * 4)]
    splits = nt.load_splits(data_options(write("a.csv", "text,label", *rows)), "classification")
    assert any("look like several in one; --label_delimiter ';'" in note for note in splits.notes)
    names = [f"t{i},{label}" for i, label in enumerate(["New York; NY", "Bonn; NRW", "Graz"] * 4)]
    splits = nt.load_splits(data_options(write("b.csv", "text,label", *names)), "classification")
    assert not any("label_delimiter" in note for note in splits.notes)
    marks = [f"t{i},{label}" for i, label in enumerate(["0 1 0", "1 1 0", "0 0 0"] * 4)]
    splits = nt.load_splits(data_options(write("c.csv", "text,label", *marks)), "classification")
    assert any("'1 1 0' look like marks of 0 and 1 by position" in note for note in splits.notes)


def test_marks_by_position_need_names(write):
    rows = [
        json.dumps({"text": f"t{i}", "labels": marks}) for i, marks in enumerate([[0, 1, 0], [1, 1, 0], [0, 0, 0]] * 4)
    ]
    path = write("a.jsonl", *rows)
    for problem in (None, "multi_label"):
        with pytest.raises(nt.DataError, match=r"lists of 3 marks.*--label_names a,b,c"):
            read_classification(path, labels=LabelForm(problem))
    with pytest.raises(nt.DataError, match=r"--label_names has 2; give their 3 names"):
        read_classification(path, labels=LabelForm(names=("x", "y")))
    read = read_classification(path, labels=LabelForm(names=("x", "y", "z")))
    assert list(read.data["label"])[:3] == [["y"], ["x", "y"], []]
    options = data_options(path, label_names=["x,y,z"])
    assert nt.load_splits(options, "classification").train.data["label"][0] == ["y"]


def test_marks_by_position_of_a_feature_with_names_are_these(tmp_path):
    names = datasets.List(datasets.ClassLabel(names=["x", "y", "z"]))
    features = datasets.Features({"text": datasets.Value("string"), "label": names})
    marks = {"text": ["a", "b"], "label": [[0, 1, 0], [1, 0, 1]]}
    ids = {"text": ["a", "b"], "label": [[1], [0, 2]]}
    for columns in (marks, ids):
        rows = read_classification(datasets.Dataset.from_dict(columns, features))
        assert list(rows.data["label"]) == [["y"], ["x", "z"]]


def test_ids_of_labels_are_named(write):
    path = write("a.csv", "text,label", "a,0", "b,1", "c,1")
    assert list(read_classification(path, labels=LabelForm(names=("no", "yes"))).data["label"]) == ["no", "yes", "yes"]
    with pytest.raises(nt.DataError, match=r"a label beside the 2 of --label_names \(0 to 1\) \(line 3\)"):
        read_classification(write("b.csv", "text,label", "a,0", "b,2"), labels=LabelForm(names=("no", "yes")))
    with pytest.raises(nt.OptionError, match=r"--label_names has 'a' twice"):
        nt.DataOptions(label_names=["a,b,a"])


def test_one_label_in_every_list_is_one_label(write):
    lines = [json.dumps({"text": f"t{i}", "label": ["spam" if i % 3 else "ham"]}) for i in range(20)]
    path = write("a.jsonl", *lines)
    splits = nt.load_splits(data_options(path), "classification")
    assert problem_of(splits.train.data) == "single_label"
    assert any("every text has a list of one label" in note for note in splits.notes)
    assert (
        problem_of(nt.load_splits(data_options(path, problem="multi_label"), "classification").train.data)
        == "multi_label"
    )
    for task, problem in (("sentiment", None), ("classification", "single_label")):
        assert set(nt.load_splits(data_options(path, problem=problem), task).train.data["label"]) == {"spam", "ham"}
    two = write("b.jsonl", *lines, json.dumps({"text": "x", "label": ["spam", "ham"]}))
    with pytest.raises(nt.DataError, match=r"several labels in its list .*\(line 21\)"):
        nt.load_splits(data_options(two), "sentiment")


def test_labels_that_look_alike_are_noted_with_what_nobody_sees(write):
    labels = ["good", "good\u200b", "ｇｏｏｄ", "bad", "b\u00adad", "so\u00a0so"]
    lines = [json.dumps({"text": f"t{i}", "label": label}) for i, label in enumerate(labels * 10)]
    notes = nt.load_splits(data_options(write("a.jsonl", *lines)), "classification").notes
    (good,) = (note for note in notes if "'good'" in note)
    assert "look alike" in good
    assert "U+200B ZERO WIDTH SPACE" in good
    assert "FULLWIDTH" in good
    assert any("U+00AD SOFT HYPHEN" in note for note in notes)
    assert any("'so<U+00A0>so' has U+00A0 NO-BREAK SPACE" in note for note in notes)


def test_a_column_is_found_behind_what_nobody_sees(write):
    path = write("a.csv", "text\u200b,la\u00adbel", "a,x", "b,y")
    for columns in ((), ("text", "label")):
        rows = read_classification(path, *columns)
        assert list(rows.data["label"]) == ["x", "y"]
        assert any("column 'text' has characters that nobody sees in its name (U+200B" in note for note in rows.notes)
