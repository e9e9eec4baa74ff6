"""A file that is cut into ranges holds the same rows in them, whatever stands in its cells."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.data.readers import row_ranges as module
from nlp_transfer.data.readers.row_ranges import Layout, json_schema, read_range, row_ranges
from nlp_transfer.errors import DataError


def rows_of(path: Path, most: int, layout: Layout) -> list[dict]:
    ranges = list(row_ranges(path, most, layout))
    assert all(part.rows <= most for part in ranges)
    assert [part.first for part in ranges] == [sum(p.rows for p in ranges[:i]) for i in range(len(ranges))]
    return [row for part in ranges for table in read_range(part, layout) for row in table.to_pylist()]


CELLS = st.text(alphabet='a,;"\n\r\té😀 ', max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.integers(1, 5), st.sampled_from(",;\t"))
def test_csv_that_python_writes_is_read_as_it_was(tmp_path_factory, rows, most, delimiter):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows([("a", "b"), *rows])
    assert rows_of(path, most, Layout(delimiter)) == [{"a": a, "b": b} for a, b in rows]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_is_not_quoted_is_read_as_it_stands(tmp_path, start, end):
    lines = [b"id,text", b'007,5" pipe', b"", b'008,"a ""b"""', b"009,", b"010,last"]
    path = tmp_path / "rows.csv"
    path.write_bytes(start + end.join(lines))
    texts = ['5" pipe', 'a "b"', "", "last"]
    for most in (1, 2, 10):
        assert rows_of(path, most, Layout(",")) == [{"id": f"{7 + i:03}", "text": text} for i, text in enumerate(texts)]


def test_quotes_may_belong_to_the_texts(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text('text\tn\n"open\t1\nits "end\t2\n"\t3\n')
    assert [row["text"] for row in rows_of(path, 2, Layout("\t", quotes=False))] == ['"open', 'its "end', '"']
    with pytest.raises(DataError, match="a quote is opened that is never closed; if quotes belong to the texts"):
        rows_of(path, 2, Layout("\t"))


def test_rows_of_json_lines_have_the_types_of_the_first(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"id": i, "tokens": ["a", "b"] * i, "empty": None, "more": 1.5} for i in range(9)]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n" + json.dumps({"id": 9}) + "\n")
    layout = Layout(schema=json_schema(path))
    read = rows_of(path, 4, layout)
    assert read[:9] == rows
    assert read[9] == {"id": 9, "tokens": None, "empty": None, "more": None}
    path.write_text('{"id": 1}\n{"id": "one"}\n')
    with pytest.raises(DataError, match=r"rows.jsonl, rows 2 to 2: JSON parse error: Column\(/id\) changed"):
        rows_of(path, 1, Layout(schema=pa.schema([("id", pa.int64())]).serialize().to_pybytes()))


def test_parquet_is_cut_across_its_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_READ_AT_ONCE", 3)
    table = pa.table({"n": range(50), "text": [f"t{i}" for i in range(50)]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=7)
    for most in (1, 6, 7, 20, 100):
        assert rows_of(tmp_path / "rows.parquet", most, Layout()) == table.to_pylist()


def test_long_rows_make_shorter_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BYTES_OF_A_RANGE", 100)
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + ("x" * 60 + "\n") * 7)
    assert [part.rows for part in row_ranges(path, 1000, Layout(","))] == [2, 2, 2, 1]


def test_rows_that_arrow_counts_otherwise_are_an_error_and_not_lost(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    (part,) = row_ranges(path, 10, Layout(","))
    path.write_text("a,b\n1,2\n\n\n\n")
    with pytest.raises(DataError, match=r"rows.csv, rows 1 to 2: 1 rows were read of them; write the file as Parquet"):
        list(read_range(part, Layout(",")))


BAD = {
    "compressed": ("rows.csv.gz", b"x", "it cannot be cut into parts; give Parquet, CSV, TSV or JSONL, not compressed"),
    "no parquet": ("rows.parquet", b"x" * 20, "rows.parquet: Parquet magic bytes not found"),
    "width": ("rows.csv", b"a,b\n1,2,3\n", "rows 1 to 1: CSV parse error: Row #1: Expected 2 columns, got 3"),
    "encoding": (
        "rows.csv",
        b"a,b\n1,\xff\n",
        "CSV conversion error to string: invalid UTF8",
    ),
    "open quote": ("rows.csv", b'a,b\n1,"x\n', "a quote is opened that is never closed"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_cut_is_one_line(tmp_path, case):
    name, content, message = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        rows_of(tmp_path / name, 10, Layout(","))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_types_of_broken_or_empty_json_are_an_error(tmp_path):
    for content in (b"", b"\n", b'{"a"\n'):
        (tmp_path / "rows.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=r"rows\.jsonl"):
            json_schema(tmp_path / "rows.jsonl")
    assert json_schema(tmp_path / "rows.csv") is None
