"""Where does a run write, so that it leaves a whole folder or none?"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from nlp_transfer.errors import OptionError

_HIDDEN = ".incomplete-"
_RUN_FILE = "transfer.json"


class RunFolder:
    """A folder that is filled under a hidden name, `path`, and takes its own name when the run has ended well.

    >>> with RunFolder("runs/mine") as folder:
    ...     (folder.path / "metrics.json").write_text("{}")

    The hidden folder stands beside the one named, or inside it where that is there already: it may be a mount, or all
    that the user may write to. Every process of a run may enter; only the first one writes. After an error nothing is
    left behind. Raises OptionError for a folder that holds something, unless `overwrite`: then what the run wrote
    replaces what has the same name, and other files stay.
    """

    def __init__(self, target: str | Path, overwrite: bool = False) -> None:
        self.target = Path(target)
        self._writes = int(os.environ.get("RANK", "0")) == 0
        self._real = Path(os.path.realpath(target))
        with self._as_option_error():
            self._refuse_what_is_there(overwrite)
            home = self._real if self._real.is_dir() else self._real.parent
            self._new_parents = [parent for parent in (home, *home.parents) if not parent.exists()]
        self.path = home / f"{_HIDDEN}{uuid.uuid4().hex[:12]}"
        self._mode = 0

    def __enter__(self) -> RunFolder:
        if self._writes:
            with self._as_option_error():
                try:
                    self.path.mkdir(parents=True)
                    self._mode = _mode_of_new_files(self.path)
                except OSError:
                    self._remove_leftovers()
                    raise
        return self

    def require_room(self, needed: int) -> None:
        """Raise OptionError now if the disk has not `needed` bytes free, rather than after hours of training."""
        if not self._writes:
            return
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise OptionError(
                f"no room on disk for --output_dir {self.target}: the run needs {needed / 1e6:,.0f} MB and "
                f"{free / 1e6:,.0f} MB are free; free some, or name a folder on another disk."
            )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._writes:
            return
        try:
            if kind is None:
                self._take_its_name()
        finally:
            self._remove_leftovers()

    def _take_its_name(self) -> None:
        for file in self.path.rglob("*"):
            if file.is_file():  # safetensors makes files that only their owner may read
                file.chmod(stat.S_IMODE(file.stat().st_mode) | self._mode)
        if not self._real.exists():
            os.replace(self.path, self._real)
            return
        for item in self.path.iterdir():
            _replace(item, self._real / item.name)

    def _remove_leftovers(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        for parent in self._new_parents:
            with contextlib.suppress(OSError):  # it holds something
                parent.rmdir()

    def _refuse_what_is_there(self, overwrite: bool) -> None:
        if os.path.lexists(self._real) and not self._real.is_dir():
            raise OptionError(f"--output_dir {self.target} is not a folder; name one that is, or a new one.")
        # A run that was killed may have left its hidden folder.
        if not overwrite and self._real.is_dir() and any(not p.name.startswith(_HIDDEN) for p in self._real.iterdir()):
            what = "already holds a run" if (self._real / _RUN_FILE).exists() else "is not empty"
            raise OptionError(f"--output_dir {self.target} {what}; name another, or give --overwrite_output_dir.")

    @contextlib.contextmanager
    def _as_option_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OptionError(f"cannot write to --output_dir {self.target}: {error.strerror}.") from error


def _mode_of_new_files(folder: Path) -> int:
    """The permissions that the user's umask gives a new file."""
    probe = folder / "probe"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    return mode


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
