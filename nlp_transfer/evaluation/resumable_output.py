"""A file that is written in parts, so that an interrupted run resumes with the missing ones."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from nlp_transfer.errors import OptionError
from nlp_transfer.system.locking import Lock

log = logging.getLogger(__name__)

Row = Mapping[str, Any]

_LOCK = ".lock"


class ResumableOutput:
    """A file that is written in parts, in `.NAME.parts/` beside it, and joined when all of them are complete.

    >>> with contextlib.closing(ResumableOutput(Path("out.jsonl"), overwrite=False)) as output:
    ...     output.begin(fingerprint="of model, input and options")
    ...     output.write(0, rows, schema)
    ...     output.join(1)

    Each part is written atomically, so that a run that was killed resumes with the missing ones. Raises OptionError
    for another suffix than .jsonl or .parquet, for a file that exists, unless `overwrite`, for one that another process
    is writing, and for a folder that cannot be written to.
    """

    def __init__(self, target: Path, overwrite: bool) -> None:
        self.target = target
        self.folder = target.parent / f".{target.name}.parts"
        self.suffix = target.suffix.lower()
        busy = f"--output_file {target}: another run is writing it; wait for its end, or name another file."
        self._lock = Lock(self.folder / _LOCK, busy)
        if self.suffix not in _FORMATS:
            raise OptionError(f"--output_file {target}: give a file with the suffix {' or '.join(_FORMATS)}.")
        if target.is_dir():
            raise OptionError(f"--output_file {target} is a folder; name a file in it.")
        if os.path.lexists(target) and not overwrite:
            raise OptionError(f"--output_file {target} exists already; name another, or give --overwrite_output_file.")

    def begin(self, fingerprint: str) -> None:
        """Make the folder of parts, and remove parts of another fingerprint in it. One process does this."""
        try:
            label = self.folder / "made_of"
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            existing = [path for path in self.folder.iterdir() if path.name != _LOCK]
            if existing and not (label.exists() and label.read_text() == fingerprint):
                log.info("%s holds parts of another model, input or options; they are discarded.", self.folder)
                for path in existing:
                    path.unlink()
            with self._atomic(label) as incomplete:
                incomplete.write_text(fingerprint)
        except OSError as error:
            raise OptionError(f"cannot write to --output_file {self.target}: {error.strerror}.") from error

    def has(self, number: int) -> bool:
        """Whether a part is complete."""
        return self._part(number).exists()

    def write(self, number: int, rows: Sequence[Row], schema: pa.Schema) -> None:
        """Write a part."""
        with self._atomic(self._part(number)) as incomplete:
            _FORMATS[self.suffix][0](incomplete, rows, schema)

    def join(self, count: int) -> None:
        """Join parts 0 to `count` - 1 into the file, and remove them. One process does this."""
        with self._atomic(self.target, self.folder / "joined") as incomplete:
            _FORMATS[self.suffix][1](incomplete, [self._part(number) for number in range(count)])
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Release the lock, so that another run can resume."""
        self._lock.release()

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:08}"

    @contextlib.contextmanager
    def _atomic(self, path: Path, incomplete: Path | None = None) -> Iterator[Path]:
        incomplete = incomplete or path.with_name(f"{path.name}.incomplete")
        yield incomplete
        with open(incomplete, "rb+") as file:
            os.fsync(file.fileno())  # else a crash of the machine could leave an empty file under the final name
        os.replace(incomplete, path)


def _write_lines(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _join_lines(path: Path, parts: Sequence[Path]) -> None:
    with open(path, "wb") as joined:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, joined)


def _write_table(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def _join_tables(path: Path, parts: Sequence[Path]) -> None:
    with pq.ParquetWriter(path, pq.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))


_FORMATS: Mapping[str, tuple[Callable[..., None], Callable[[Path, Sequence[Path]], None]]] = {
    ".jsonl": (_write_lines, _join_lines),
    ".parquet": (_write_table, _join_tables),
}
