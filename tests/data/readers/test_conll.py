"""Most lines of a CoNLL file tell its layout, and what stands beside them is told."""

from __future__ import annotations

import pytest
from tagged_files import fault, sentences

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_tagged

TABS = "Anna\tB-PER\nmoved\tO\n\nBonn\tB-LOC\nis\tO\n"
SENTENCES = [(["Anna", "moved"], ["B-PER", "O"]), (["Bonn", "is"], ["B-LOC", "O"])]


def write(tmp_path, text, name="a.conll"):
    (tmp_path / name).write_text(text, "utf-8", newline="")
    return tmp_path / name


def predicted(path):
    return [row.text for row in open_texts(PredictionOptions("m", input_file=str(path), output_file="o"), tagged=True)]


@pytest.mark.parametrize(
    ("before", "left_out"),
    [
        ("News of 2026, with names in four types\n", "line 1 is no word with its tag, and is left out: 'News of 2026"),
        ("My corpus\nLicence: CC BY 4.0\n\n", "lines 1, 2 are no words with tags, and are left out: 'My corpus'"),
        ("#licence CC BY\n", "left out 1 line as comments: they begin with # and have no tag"),
        ("# sent_id\t1\n", "left out 1 line as comments"),
        ("#\thttps://news.org/7\n#\tx\n", "left out 2 lines as comments"),
        ("# sent_id = 1\n", None),
    ],
)
@pytest.mark.parametrize("form", ["tabs", "blanks", "four columns"])
def test_lines_that_are_no_words_decide_nothing(tmp_path, before, left_out, form):
    text = TABS if form == "tabs" else TABS.replace("\t", " " if form == "blanks" else "\tX\tY\t")
    path = write(tmp_path, before + text)
    rows = read_tagged(path)
    assert sentences(rows) == SENTENCES
    assert [note for note in rows.notes if "left out" in note] == [n for n in rows.notes if left_out and left_out in n]
    assert any("left out" in note for note in rows.notes) == (left_out is not None)
    assert predicted(path) == [words for words, _ in SENTENCES]


@pytest.mark.parametrize("before", ["Anna\n", "Anna\tX\tY\tB-PER\n", "New York\n", "\tO\n"])
def test_a_first_word_that_is_broken_is_a_bad_row_and_no_title(tmp_path, before):
    path = write(tmp_path, before + TABS)
    assert "has 1 row with " in fault(path)
    assert "(line 1)" in fault(path)
    rows = read_tagged(path, skip_bad_rows=True)
    assert (sentences(rows), rows.skipped) == (SENTENCES[1:], (1,))


def test_a_hash_that_has_a_tag_is_a_word(tmp_path):
    text = "#\tO\n#Bonn\tB-LOC\n\n# \tB-LOC\n"
    assert sentences(read_tagged(write(tmp_path, text))) == [(["#", "#Bonn"], ["O", "B-LOC"]), (["# "], ["B-LOC"])]
    types = "#Bonn\tLOC\nis\tO\nin\tO\nBonn\tLOC\n"
    assert sentences(read_tagged(write(tmp_path, types))) == [
        (["#Bonn", "is", "in", "Bonn"], ["B-LOC", "O", "O", "B-LOC"])
    ]


def test_columns_that_hold_tags_too_are_told(tmp_path):
    chunks = "EU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\nBonn NNP I-NP B-LOC\n"
    (note,) = read_tagged(write(tmp_path, chunks)).notes
    assert note.endswith("column 2 could be tags too; those of column 3 are read (--conll_columns 0,2 names another).")
    assert read_tagged(write(tmp_path, chunks), conll_columns="0,2").notes == ()
    nested = "#\thttps://a.org\n1\tBonner\tB-LOCderiv\tO\n2\tUni\tO\tB-ORG\n"
    rows = read_tagged(write(tmp_path, nested))
    assert sentences(rows) == [(["Bonner", "Uni"], ["O", "B-ORG"])]
    assert "column 2 could be tags too; those of column 3 are read (--conll_columns 1,2" in rows.notes[1]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("B-PER\tAnna\nO\tmoved\n\nB-LOC\tBonn\n", "1,0"),
        ("B-PER NN Anna\nO VB moved\n\nB-LOC NN Bonn\n", "2,0"),
        ("PER\tAnna\nO\tmoved\nO\tto\nO\tthe\n\nLOC\tBonn\n", "1,0"),
    ],
)
def test_tags_before_words_are_told_and_read_when_named(tmp_path, text, columns):
    path = write(tmp_path, text)
    assert f"name the columns of the word and of its tag: --conll_columns {columns}" in fault(path)
    with pytest.raises(nt.DataError, match=f"--conll_columns {columns}"):
        predicted(path)
    assert read_tagged(path, conll_columns=columns).data[0]["words"][:2] == ["Anna", "moved"]


def test_no_blank_line_is_told(tmp_path):
    path = write(tmp_path, "".join(f"w{n}\t{'B-PER' if n == 3 else 'O'}\n" for n in range(4000)))
    (note,) = read_tagged(path).notes
    assert note.startswith(f"{path}: no blank line in 4,000 lines: one sentence?")
    assert read_tagged(write(tmp_path, TABS)).notes == ()


def test_words_with_blanks_before_a_comma_and_a_tag(tmp_path):
    path = write(tmp_path, "New York,B-LOC\nis,O\n\nSan Jose,B-LOC\n")
    assert sentences(read_tagged(path)) == [(["New York", "is"], ["B-LOC", "O"]), (["San Jose"], ["B-LOC"])]
    assert predicted(path) == [["New York", "is"], ["San Jose"]]
