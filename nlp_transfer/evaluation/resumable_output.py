"""What is there already of a file that takes long to write?"""

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


class Parts:
    """A file that is written in parts, `.NAME.parts/` beside it, and takes its name when all of them are there.

    >>> with contextlib.closing(Parts(Path("out.jsonl"), overwrite=False)) as parts:
    ...     parts.begin(made_of="model, input and options")
    ...     parts.write(0, rows, schema)
    ...     parts.join(1)

    A part has its name once it is whole, so that whoever is killed goes on where it stopped. Raises OptionError for
    another suffix than .jsonl or .parquet, for a file that is there, unless `overwrite`, for one that another process
    is writing, and for a folder that cannot be written to.
    """

    def __init__(self, target: Path, overwrite: bool) -> None:
        self.target = target
        self.folder = target.parent / f".{target.name}.parts"
        self.suffix = target.suffix.lower()
        busy = f"--output_file {target}: another run is writing it; wait for its end, or name another file."
        self._lock = Lock(self.folder / _LOCK, busy)
        if self.suffix not in _FORMS:
            raise OptionError(f"--output_file {target}: what can be written is {' or '.join(_FORMS)}.")
        if target.is_dir():
            raise OptionError(f"--output_file {target} is a folder; name a file in it.")
        if os.path.lexists(target) and not overwrite:
            raise OptionError(
                f"--output_file {target} is already there; name another, or give --overwrite_output_file."
            )

    def begin(self, made_of: str) -> None:
        """Make the folder; parts of anything else than `made_of` in it are removed. One process does this."""
        try:
            label = self.folder / "made_of"
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            there = [path for path in self.folder.iterdir() if path.name != _LOCK]
            if there and not (label.exists() and label.read_text() == made_of):
                log.info("%s holds parts of another model, input or options; they are made anew.", self.folder)
                for path in there:
                    path.unlink()
            with self._whole(label) as half:
                half.write_text(made_of)
        except OSError as error:
            raise OptionError(f"cannot write to --output_file {self.target}: {error.strerror}.") from error

    def has(self, number: int) -> bool:
        """Whether a part is there, and whole."""
        return self._part(number).exists()

    def write(self, number: int, rows: Sequence[Row], schema: pa.Schema) -> None:
        """Write a part."""
        with self._whole(self._part(number)) as half:
            _FORMS[self.suffix][0](half, rows, schema)

    def join(self, count: int) -> None:
        """Put parts 0 to `count` - 1 together, give the file its name, and remove them. One process does this."""
        with self._whole(self.target, self.folder / "joined") as half:
            _FORMS[self.suffix][1](half, [self._part(number) for number in range(count)])
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Let others write the file, who go on with the parts that are there."""
        self._lock.release()

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:08}"

    @contextlib.contextmanager
    def _whole(self, path: Path, half: Path | None = None) -> Iterator[Path]:
        half = half or path.with_name(f"{path.name}.incomplete")
        yield half
        with open(half, "rb+") as file:
            os.fsync(file.fileno())  # else a machine that stops could leave the name, and nothing in the file
        os.replace(half, path)


def _write_lines(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _join_lines(path: Path, parts: Sequence[Path]) -> None:
    with open(path, "wb") as whole:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole)


def _write_table(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def _join_tables(path: Path, parts: Sequence[Path]) -> None:
    with pq.ParquetWriter(path, pq.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))


_FORMS: Mapping[str, tuple[Callable[..., None], Callable[[Path, Sequence[Path]], None]]] = {
    ".jsonl": (_write_lines, _join_lines),
    ".parquet": (_write_table, _join_tables),
}
