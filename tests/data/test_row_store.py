"""What is stored is what comes back; memory does not grow with the rows, and nothing is left on disk."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc

import pytest
from datasets import Features, Value

from nlp_transfer.data import row_store
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.row_store import rows_of, slices, stored, values
from nlp_transfer.data.splits import hold_out
from nlp_transfer.errors import DataError


def batches(count: int, size: int = 7):
    for start in range(0, count, size):
        numbers = range(start, min(start + size, count))
        yield {"input_ids": [[n, n + 1] for n in numbers], "row": list(numbers)}


@pytest.mark.parametrize("count", [1, 7, row_store.SLICE, 2 * row_store.SLICE + 1])
def test_what_is_stored_comes_back_in_order(count):
    data = stored(batches(count))
    assert list(values(data, "row")) == list(range(count))
    assert list(rows_of(data, "row", "input_ids")) == [(n, [n, n + 1]) for n in range(count)]
    sizes = [len(columns["row"]) for columns in slices(data)]
    assert sum(sizes) == count
    assert max(sizes) <= row_store.SLICE


def test_pages_that_were_forgotten_are_read_again():
    data = stored(batches(100))
    before = data[:]
    row_store.forget_pages()
    assert data[:] == before


def test_no_rows_are_a_data_set_too():
    features = Features({"text": Value("string")})
    assert list(values(stored(iter(()), features), "text")) == []


def test_nothing_is_left_even_by_a_process_that_is_killed(tmp_path):
    code = (
        "import os, signal\n"
        "from nlp_transfer.data.row_store import stored\n"
        "data = stored([{'row': list(range(1000))}])\n"
        "assert sum(data['row']) == 499500\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (-9, "")
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def broken():
        yield {"row": [1]}
        raise DataError("a row is bad.")

    with pytest.raises(DataError, match="a row is bad"):
        stored(broken())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_that_says_which(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(row_store.ArrowWriter, "write_batch", full)
    with pytest.raises(DataError, match=r"No space left on device.*TMPDIR") as caught:
        stored(batches(3))
    assert tempfile.gettempdir() in str(caught.value)


def held_while(work) -> int:
    """The most bytes that Python's objects took at once."""
    gc.collect()  # when that happens by itself depends on the tests before
    tracemalloc.start()
    try:
        kept = work()
        peak = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return peak


def write_texts(path, count):
    texts = (json.dumps({"text": f"a text of some length, number {n}", "label": str(n % 3)}) for n in range(count))
    path.write_text("\n".join(texts))
    return path


def write_sentences(path, count):
    path.write_text("".join(f"Anna\tB-PER\nmet\tO\nnumber{n}\tO\n\n" for n in range(count)))
    return path


@pytest.mark.parametrize(
    ("read", "write", "name"),
    [(read_classification, write_texts, "a.jsonl"), (read_tagged, write_sentences, "a.conll")],
)
def test_a_row_that_was_read_takes_next_to_no_memory(tmp_path, read, write, name):
    few, many = 2000, 12_000
    paths = [write(tmp_path / f"{count}-{name}", count) for count in (few, many)]
    small, large = (held_while(lambda path=path: read(path)) for path in paths)
    assert (large - small) / (many - few) < 20  # bytes a row; held as Python's objects each takes hundreds


def test_holding_out_takes_few_bytes_a_row(tmp_path):
    few, many = 2000, 12_000
    small, large = (read_classification(write_texts(tmp_path / f"{n}.jsonl", n)) for n in (few, many))
    peaks = [held_while(lambda rows=rows: hold_out(rows, 0.1, 0, "label")) for rows in (small, large)]
    assert (peaks[1] - peaks[0]) / (many - few) < 100  # the place of each row as a number, while it is told
