"""Files without a header, with Excel's first line, compressed, in several parts, and in workbooks."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys

import pandas as pd
import pyarrow as pa
import pytest

import nlp_transfer as nt
from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts
from nlp_transfer.data.read_rows import read_classification

ROWS = [("it is fine", "good"), ("it is not", "bad"), ("so so", "good")]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)


def pairs(rows):
    return [(row["text"], row["label"]) for row in rows.data]


def test_a_first_line_that_reads_like_a_row_is_told(tmp_path):
    (path := tmp_path / "a.csv").write_text(
        '"3","A title","some text that goes on for long"\n"1","Other","more text"\n'
    )
    with pytest.raises(nt.DataError, match=r"first line reads like a row .*--no_header takes it as one"):
        read_classification(path)
    with pytest.raises(nt.DataError, match=r"the first row has 0: '3', 1: 'A title', 2: 'some text"):
        read_classification(path, no_header=True)
    rows = read_classification(path, "2", "0", no_header=True)
    assert pairs(rows) == [("some text that goes on for long", "3"), ("more text", "1")]
    assert list(rows.data["line"]) == [1, 2]


def test_a_first_line_whose_cells_repeat_is_told(tmp_path):
    (path := tmp_path / "a.csv").write_text("1,1\n2,1\n")
    with pytest.raises(nt.DataError, match=r"column names repeat: 1; .*--no_header"):
        read_classification(path)


def test_short_rows_are_told_by_what_their_columns_hold(tmp_path):
    (path := tmp_path / "a.csv").write_text("bad,awful film\ngood,nice one\nbad,meh\n")
    with pytest.raises(nt.DataError, match=r"first line reads like a row \('bad'\)"):
        read_classification(path)


def test_a_header_within_the_file_is_no_row(tmp_path):
    (path := tmp_path / "a.csv").write_text(CSV + CSV)
    rows = read_classification(path)
    assert pairs(rows) == ROWS * 2
    assert rows.left_out == (5,)
    assert any("left out 1 row with the header again (line 5)" in note for note in rows.notes)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "sep=;\r"])
def test_the_first_line_of_excel_names_the_delimiter(tmp_path, first):
    (path := tmp_path / "a.csv").write_text(f"{first}\ntext;label\na, b;x\nc;y\n", newline="")
    rows = read_classification(path)
    assert pairs(rows) == [("a, b", "x"), ("c", "y")]
    assert list(rows.data["line"]) == [3, 4]


COMPRESSED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_files_are_read_as_what_is_in_them(tmp_path, suffix):
    (plain := tmp_path / "a.csv").write_text(CSV)
    (path := tmp_path / f"a.csv{suffix}").write_bytes(COMPRESSED[suffix](CSV.encode()))
    assert read_classification(path).sha256 == read_classification(plain).sha256
    texts = open_texts(PredictionOptions("m", input_file=str(path), output_file="o.jsonl"), tagged=False)
    assert [text.text for text in texts] == [text for text, _ in ROWS]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(nt.DataError, match=f"a.csv{suffix} is damaged or not {suffix}"):
        read_classification(path)
    path.write_bytes(CSV.encode())
    with pytest.raises(nt.DataError, match=f"a.csv{suffix} is damaged or not {suffix}"):
        read_classification(path)


def test_several_files_are_read_as_one_and_a_bad_row_is_told_with_its_file(tmp_path):
    for number, (text, label) in enumerate(ROWS):
        (tmp_path / f"part-{number}.csv").write_text(f"text,label\n{text},{label}\n")
    rows = read_classification(tmp_path / "part-*.csv")
    assert pairs(rows) == ROWS
    assert (list(rows.data["line"]), rows.unit) == ([1, 2, 3], "row")
    assert pairs(read_classification([tmp_path / f"part-{number}.csv" for number in (2, 0)])) == [ROWS[2], ROWS[0]]
    (tmp_path / "part-1.csv").write_text("text,label\nx,\n")
    with pytest.raises(nt.DataError, match=r"1 row with no label \(part-1.csv, line 2\)"):
        read_classification(tmp_path / "part-*.csv")
    with pytest.raises(nt.DataError, match=r"nothing there matches"):
        read_classification(tmp_path / "no-*.csv")
    nt.require_files(nt.DataOptions(train_file=str(tmp_path / "part-*.csv")))


def test_parts_with_other_columns_are_no_silent_loss(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,p\n")
    (tmp_path / "b.csv").write_text("text,kind\ny,q\n")
    with pytest.raises(nt.DataError, match=r"b.csv has no column 'label', as a.csv has"):
        read_classification(tmp_path / "*.csv")


def test_a_workbook(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"text": ["NA", "b", ""], "stars": [1, 2, None], "note": ["", "", ""]}).to_excel(
            writer, index=False
        )
        pd.DataFrame({"x": [1]}).to_excel(writer, sheet_name="other", index=False)
    rows = read_classification(path, label_column="stars")
    assert pairs(rows) == [("NA", "1"), ("b", "2")]
    assert list(rows.data["line"]) == [2, 3]
    assert "sheet 'Sheet1' is read, and not other" in rows.notes[0]
    path.write_bytes(b"no workbook")
    with pytest.raises(nt.DataError, match=r"is damaged or no workbook"):
        read_classification(path)


def test_a_workbook_with_blank_rows_a_cover_and_no_header(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}).to_excel(path, index=False, startrow=3)
    assert pairs(read_classification(path)) == [("a", "x"), ("b", "y")]
    assert list(read_classification(path).data["line"]) == [5, 6]
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame([["About this file"]]).to_excel(writer, sheet_name="Cover", index=False, header=False)
        pd.DataFrame({"text": ["a"], "label": ["x"]}).to_excel(writer, sheet_name="Rows", index=False)
    with pytest.raises(nt.DataError, match=r"Sheet 'Cover' is read, and not Rows"):
        read_classification(path)
    pd.DataFrame([["a text of five whole words", 3], ["b", 4]]).to_excel(path, index=False, header=False)
    with pytest.raises(nt.DataError, match=r"first line reads like a row"):
        read_classification(path)
    (tmp_path / "b.csv").write_bytes(path.read_bytes())
    with pytest.raises(nt.DataError, match=r"b.csv is a zip archive, as workbooks of Excel are"):
        read_classification(tmp_path / "b.csv")
    (tmp_path / "c.xlsx.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(nt.DataError, match=r"decompress it first"):
        read_classification(tmp_path / "c.xlsx.gz")


def test_a_workbook_without_openpyxl_is_one_line(tmp_path, monkeypatch):
    (path := tmp_path / "a.xlsx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(nt.OptionError, match=r'needs openpyxl.*pip install "nlp-transfer\[excel\]"'):
        read_classification(path)
