"""Numbers as people write them are numbers, and where two readings are possible, both are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.number_notations import as_number, measured, notation_of


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        (["3,5", "0,0", "1,1"], [3.5, 0.0, 1.1]),
        (["37%", "0%", "5 %"], [37, 0, 5]),
        (["1.234,5", "2.000,1", "7,0"], [1234.5, 2000.1, 7.0]),
        (["1,234.5", "2,000.25", "7"], [1234.5, 2000.25, 7.0]),
        (["1 234", "12\u00a0345", "2"], [1234, 12345, 2]),
        (["1'234.5", "2'000.1", "3"], [1234.5, 2000.1, 3]),
        (["4/5", "3/5", "1/5"], [4, 3, 1]),
        (["1/2", "3/4", "1/4"], [0.5, 0.75, 0.25]),
        (["€3,50", "€ 4,20", "€1.000,00"], [3.5, 4.2, 1000]),
        (["3,5 %", "12,25 %", "0,1 %"], [3.5, 12.25, 0.1]),
        (["\u22123,5", "2,1", "0,5"], [-3.5, 2.1, 0.5]),
        (["-$5.0", "$3.2", "$1,200.5"], [-5.0, 3.2, 1200.5]),
        (["USD 12.5", "USD 3", "USD 7.25"], [12.5, 3, 7.25]),
        (["12,5 EUR", "3 EUR", "1.250,25 EUR"], [12.5, 3, 1250.25]),
    ],
)
def test_each_notation_is_read(labels, numbers):
    notation = notation_of(labels, "score")
    assert [notation.read(label) for label in labels] == numbers
    assert measured(labels, "score") == notation


@pytest.mark.parametrize("labels", [["1,234", "2,345"], ["12,345", "7"]])
def test_two_readings_are_refused_and_both_are_named(labels):
    with pytest.raises(nt.DataError, match=r"column 'score' .* with a decimal point or .* with a decimal comma"):
        notation_of(labels, "score")
    assert notation_of(labels, "score", "comma").read("1,234") == 1.234
    assert notation_of(labels, "score", "point").read("1,234") in (1234, None)


@pytest.mark.parametrize(
    "labels", [["3.5", "3,5", "2.2", "4.1", "1.1"], ["3.5", "3,5", "2,2", "4.1"], ["37%", "0.37", "22%", "0.5"]]
)
def test_numbers_that_are_written_in_two_ways_are_refused(labels):
    with pytest.raises(nt.DataError, match=r"written in two ways, .* is read as .* and .* is read as"):
        measured(labels, "score")


def test_points_between_thousands_are_a_doubt():
    labels = [*map(str, range(20, 60)), "1.004", "2.188"]
    with pytest.raises(nt.DataError, match=r"'1.004' is 1.004 with a decimal point or 1004 with a decimal comma"):
        measured(labels, "score")
    assert measured(labels, "score", "point").read("1.004") == 1.004
    assert measured(labels, "score", "comma").read("1.004") == 1004
    assert measured([*labels, "0.25"], "score").read("1.004") == 1.004  # no thousands begin with 0
    assert measured([f"{1 + i / 977:.3f}" for i in range(60)], "score").is_plain


def test_what_looks_like_measured_numbers():
    scores = [str(i / 7) for i in range(30)]
    assert measured(scores, "score").is_plain
    assert measured([*scores, "n/a"], "score")  # one that is not is better told by its line
    assert not measured(scores[:5], "score")  # half stars
    assert not measured([str(i) for i in range(100)], "score")  # codes
    assert not measured([*scores, *(f"name {i}" for i in range(30))], "score")


@pytest.mark.parametrize(
    "labels",
    [["a", "b"], ["spam, ham", "ham"], ["1a", "2b", "3c"], ["v1.2", "v1.3"], ["and/or", "either/or", "x"],
     ["2024-01-02", "2024-01-03", "x"], ["10%", "20%"], ["01 234", "02 345", "03 456"], [],
     ["123 456", "223 456", "323 456"], ["24/7", "9/11", "1/2"], ["01,1", "02,2", "03,3"]],
)  # fmt: skip
def test_names_are_no_numbers(labels):
    assert measured(labels, "label") is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=8))
def test_what_python_writes_is_read_as_it_is(numbers):
    labels = [repr(number) for number in numbers]
    notation = notation_of(labels, "score")
    assert [notation.read(label) for label in labels] == [as_number(label) for label in labels]


@given(st.lists(st.decimals(0, 99999, places=2, allow_nan=False), min_size=3, max_size=8, unique=True))
def test_the_german_way_is_undone(numbers):
    labels = [f"{number:,.2f}".translate(str.maketrans(",.", ".,")) for number in numbers]
    notation = notation_of(labels, "score")
    assert [notation.read(label) for label in labels] == [float(number) for number in numbers]


def load(tmp_path, labels, task="classification", test=(), **options):
    for name, some in (("train", labels), ("test", test)):
        lines = "".join(f"text {i};{label}\n" for i, label in enumerate(some))
        (tmp_path / f"{name}.csv").write_text(f"text;score\n{lines}")
    files = {"train_file": str(tmp_path / "train.csv")} | ({"test_file": str(tmp_path / "test.csv")} if test else {})
    return nt.load_splits(nt.DataOptions(**files, **options), task)


def test_a_run_reads_them_and_says_how(tmp_path):
    splits = load(tmp_path, [f"{i // 7},{i % 7}" for i in range(60)], test=["1", "2,5"])
    assert problem_of(splits.train.data) == "regression"
    assert list(splits.test.data["label"]) == [1.0, 2.5]  # as the training rows are written
    assert any("column 'score' holds numbers: '8,3' is read as 8.3" in note for note in splits.notes)
    assert any("--problem single_label" in note for note in splits.notes)
    names = load(tmp_path, [f"{i // 7},{i % 7}" for i in range(60)] * 2, problem="single_label")
    assert "8,3" in names.train.data["label"]


def test_levels_of_sentiment_stay_levels_in_digits(tmp_path):
    splits = load(tmp_path, [f"{1 + i % 5}/5" for i in range(60)], task="sentiment")
    assert set(splits.train.data["label"]) == {"1", "2", "3", "4", "5"}


def test_a_row_of_another_kind_has_its_line_told(tmp_path):
    labels = [f"{i // 7},{i % 7}" for i in range(60)]
    with pytest.raises(
        nt.DataError,
        match=r"1 row with a label that is no finite number .* with a decimal comma\) \(line 62\).*--skip_bad_rows",
    ):
        load(tmp_path, [*labels, "n/a"])
    splits = load(tmp_path, [*labels, "n/a"], skip_bad_rows=True)
    assert splits.train.skipped == (62,)


def test_two_readings_stop_a_run_unless_it_is_told(tmp_path):
    labels = [f"{1 + i // 7},{100 + i}" for i in range(40)]
    with pytest.raises(nt.DataError, match=r"train.csv: column 'score' .*--decimal_mark"):
        load(tmp_path, labels)
    assert load(tmp_path, labels, decimal_mark="comma", problem="regression").train.data["label"][0] == 1.1
