"""A file of many parts has its name when it is complete, and complete parts are not written again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nlp_transfer as nt
from nlp_transfer.evaluation.resumable_output import ResumableOutput

SCHEMA = pa.schema([("line", pa.int64()), ("label", pa.string())])
ROWS = [[{"line": 10 * part + i, "label": "é\n"} for i in range(3)] for part in range(3)]


def begun(folder: Path, name: str, fingerprint: str = "this") -> ResumableOutput:
    parts = ResumableOutput(folder / name, overwrite=False)
    parts.begin(fingerprint)
    return parts


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_parts_in_any_order_become_one_file(tmp_path, name):
    parts = begun(tmp_path, name)
    for number in (2, 0, 1):
        assert not parts.has(number)
        parts.write(number, ROWS[number], SCHEMA)
        assert parts.has(number)
    assert not (tmp_path / name).exists()
    parts.join(3)
    path = tmp_path / name
    read = pq.read_table(path).to_pylist() if name.endswith("parquet") else list(map(json.loads, path.open()))
    assert read == [row for part in ROWS for row in part]
    assert os.listdir(tmp_path) == [name]


def test_parts_stay_for_the_same_and_go_for_anything_else(tmp_path):
    begun(tmp_path, "out.jsonl").write(0, ROWS[0], SCHEMA)
    (tmp_path / ".out.jsonl.parts" / "00000001.incomplete").write_text("{")  # killed while it was written
    parts = begun(tmp_path, "out.jsonl")
    assert (parts.has(0), parts.has(1)) == (True, False)
    parts.close()
    assert not begun(tmp_path, "out.jsonl", "that").has(0)


def test_a_second_one_that_writes_the_same_file_is_refused(tmp_path):
    first = begun(tmp_path, "out.jsonl")
    first.write(0, ROWS[0], SCHEMA)
    with pytest.raises(nt.OptionError, match=r"--output_file .*: another run is writing it; wait for its end"):
        begun(tmp_path, "out.jsonl", "that")
    assert first.has(0)
    first.join(1)
    with pytest.raises(nt.OptionError, match="exists already"):
        begun(tmp_path, "out.jsonl")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("there.jsonl", "exists already; name another, or give --overwrite_output_file"),
        ("out.csv", "give a file with the suffix .jsonl or .parquet"),
        ("folder.jsonl", "is a folder; name a file in it"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(nt.OptionError, match=message):
        ResumableOutput(tmp_path / name, overwrite=False)


def test_a_place_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(nt.OptionError, match="cannot write to --output_file"):
        begun(tmp_path / "file", "out.jsonl")
