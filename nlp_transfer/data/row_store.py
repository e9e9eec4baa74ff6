"""Arrow files on disk, visible to no other process, that hold the rows of a run."""

from __future__ import annotations

import itertools
import mmap
import os
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from datasets import Dataset, Features
from datasets.arrow_writer import ArrowWriter

from nlp_transfer.errors import DataError
from nlp_transfer.system.progress_bars import tqdm

SLICE = 1000
"""Rows that are written, read or changed together: few, for a row may be a whole document."""

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def stored(batches: Iterable[Mapping[str, Sequence[Any]]], features: Features | None = None) -> Dataset:
    """A data set of all that `batches` hold, by column, one after another; types are inferred by default.

    The file lies in the folder of temporary files, which TMPDIR names, and has no name: it is gone when the data set
    or the process is, however that ends. Memory holds one batch. DataError where the disk is full.
    """
    with tempfile.TemporaryFile(prefix="nlp_transfer-") as file:
        try:
            writer = ArrowWriter(stream=file, features=features)
            for batch in batches:
                writer.write_batch(batch)
            writer.finalize(close_stream=False)
            file.flush()
        except OSError as error:
            raise DataError(
                f"the rows do not fit into the folder of temporary files, {tempfile.gettempdir()} "
                f"({os.strerror(error.errno or 0)}); free some space, or name another folder with TMPDIR."
            ) from error
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _maps.add(mapped)
    table = pa.ipc.open_stream(pa.py_buffer(mapped)).read_all()
    return Dataset(table, fingerprint=uuid.uuid4().hex)  # its own way to one reads and copies the whole table


def slices(data: Dataset, *names: str) -> Iterator[dict[str, list[Any]]]:
    """The rows by column, `SLICE` of them at a time; all columns unless some are named."""
    chosen = data.select_columns(list(names)) if names else data
    for start in range(0, len(data), SLICE):
        yield chosen[start : start + SLICE]
        forget_pages()


def rows_of(data: Dataset, *names: str) -> Iterator[tuple[Any, ...]]:
    """The values of the columns `names`, a row at a time."""
    for columns in slices(data, *names):
        yield from zip(*(columns[name] for name in names), strict=True)


def values(data: Dataset, name: str) -> Iterator[Any]:
    """The values of one column; many times as fast as a pass over `data[name]`, and as small in memory."""
    return (value for (value,) in rows_of(data, name))


def forget_pages() -> None:
    """Release the pages of the files that were read last from this process's memory.

    They stay in its cache, so that reading them again is cheap; but else a pass over a file, or an epoch of random
    batches, ends with all of it in this process's memory, as `top` and batch systems count it.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in list(_maps):
            mapped.madvise(mmap.MADV_DONTNEED)


def batched(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Rows in lists of `SLICE`."""
    iterator = iter(rows)
    while some := list(itertools.islice(iterator, SLICE)):
        yield some


def counted(what: str, total: int | None = None, rows: Iterable[Any] | None = None) -> tqdm[Any]:
    """A bar over rows that take more than a few seconds, on a terminal and the first process alone."""
    silent = None if int(os.environ.get("RANK", "0")) == 0 else True
    return tqdm(rows, desc=what, total=total, unit="row", unit_scale=True, leave=False, disable=silent, delay=2)
