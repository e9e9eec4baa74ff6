"""Quotes that may be of a field or of its text are a doubt, and a doubt is told or refused."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nlp_transfer as nt
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_classification

MELTING = ["text\tlabel", "one\ta", '"two opens\tb', "three\ta", 'four ends"\tb', "five\ta"]


@pytest.fixture
def write(tmp_path):
    def to(name, *lines, end="\n"):
        (tmp_path / name).write_text(end.join([*lines, ""]), encoding="utf-8", newline="")
        return tmp_path / name

    return to


def pairs(rows):
    return [(row["text"], row["label"]) for row in rows.data]


def test_rows_that_a_quote_would_melt_into_one_are_refused_and_either_reading_can_be_had(write):
    path = write("a.tsv", *MELTING)
    with pytest.raises(
        nt.DataError, match=r"line 3: a quote opens here and closes in line 5: this is one row .* 3 rows"
    ):
        read_classification(path)
    assert pairs(read_classification(path, quoting="none")) == [tuple(line.split("\t")) for line in MELTING[1:]]
    assert len(read_classification(path, quoting="csv").data) == 3


def test_a_file_whose_quotes_are_quotes_is_read_and_told(write):
    path = write("a.tsv", *MELTING, '"a tab\tinside"\ta')
    rows = read_classification(path)
    assert len(rows.data) == 4
    assert any("line 3" in note and "--quoting none" in note for note in rows.notes)


def test_lines_and_rows_are_counted_where_they_differ(write):
    rows = read_classification(write("a.csv", "text,label", '"one', 'more",a', "", "two,b"))
    assert rows.notes == (f"{rows.source}: 4 lines give 2 rows: 1 row runs over several (line 2), 1 is blank.",)
    assert read_classification(write("b.csv", "text,label", '"one, a",a', "two,b")).notes == ()


def test_a_quote_that_is_never_closed_names_the_option(write):
    with pytest.raises(nt.DataError, match=r"line 2: a quote opened .* never closed.*--quoting none"):
        read_classification(write("a.csv", "text,label", '"one,a', "two,b"))


@pytest.mark.parametrize("text", ['he said "so" and left', 'ends with "this"', '6" tall', "it's"])
def test_quotes_within_a_text_are_no_doubt(write, text):
    path = write("a.tsv", "text\tlabel", f"{text}\ta", "two\tb")
    assert read_classification(path).data["text"][0] == text
    assert read_classification(path).notes == ()


def test_quoting_is_for_delimited_files(write):
    with pytest.raises(nt.OptionError, match=r"--quoting is for files such as .csv"):
        read_classification(write("a.jsonl", '{"text": "a", "label": "b"}'), quoting="none")
    with pytest.raises(nt.OptionError, match=r"--quoting"):
        nt.DataOptions(train_file="a.csv", quoting="all")


TEXT = st.text(st.sampled_from('ab,\t"\n '), min_size=1).map(lambda text: f"{text}.")


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, st.sampled_from("xy")), min_size=1), mark=st.sampled_from("\t,"))
def test_what_is_written_with_quotes_is_read_back_or_refused_as_a_doubt(tmp_path_factory, rows, mark):
    path = tmp_path_factory.getbasetemp() / "quoted.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([("text", "label"), *rows])
    try:
        read = read_classification(path, delimiter=mark)
    except nt.DataError as error:
        assert "--quoting csv" in str(error)  # noqa: PT017 (it may be read as well)
        read = read_classification(path, delimiter=mark, quoting="csv")
    assert pairs(read) == rows


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.text(st.sampled_from('ab" '), min_size=1).map(lambda text: f"{text}."), st.sampled_from("xy")),
        min_size=1,
    )
)
def test_no_row_of_a_file_without_quoting_is_lost_without_a_word(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "bare.tsv"
    lines = ["\t".join(row) for row in rows]
    path.write_text("\n".join(["text\tlabel", *lines, ""]), encoding="utf-8")
    try:
        read = read_classification(path)
    except nt.DataError as error:
        assert "--quoting none" in str(error)  # noqa: PT017 (it may be read as well)
    else:
        assert len(read.data) == len(rows) or any("lines give" in note for note in read.notes)
    assert pairs(read_classification(path, quoting="none", delimiter="tab")) == rows


def test_one_column_is_a_doubt_as_well(write):
    with pytest.raises(nt.DataError, match=r"line 2: a quote opens here and closes in line 4"):
        list(
            open_texts(
                nt.PredictionOptions(
                    "m", input_file=str(write("a.csv", "text", '"one', "two", 'three"')), output_file="o"
                ),
                tagged=False,
            )
        )


def test_a_file_that_quotes_a_column_in_every_row_is_plainly_quoted(write):
    rows = [f'{i % 2},"text {i}"' for i in range(20)]
    path = write("a.csv", "label,text", *rows, '0,"good', 'so, fine"')
    assert len(read_classification(path).data) == 21


def test_quotes_with_backslashes_and_after_blanks(write):
    rows = read_classification(write("a.csv", "text,label", '"he said \\"so, so\\"",a', "two,b"))
    assert pairs(rows) == [('he said "so, so"', "a"), ("two", "b")]
    assert any('are written as \\"' in note for note in rows.notes)
    spaced = write("b.csv", '"text", "label"', '"x, yes", "a"', '"no", "b"')
    assert pairs(read_classification(spaced)) == [("x, yes", "a"), ("no", "b")]
    paths = write("c.csv", "text,label", r'"C:\temp\",a', r'"D:\x",b')  # a backslash at the end of a field
    assert pairs(read_classification(paths)) == [("C:\\temp\\", "a"), ("D:\\x", "b")]
