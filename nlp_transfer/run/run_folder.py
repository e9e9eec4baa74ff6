"""Where does a run write, so that it leaves a whole folder or none?"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from nlp_transfer.config import CHECKPOINTS
from nlp_transfer.errors import OptionError, RunFinished
from nlp_transfer.system.atomic_files import flush, flush_folder
from nlp_transfer.system.locking import Lock

_HIDDEN = ".incomplete-"
_RUN_FILE = "transfer.json"
_LOGS = "logs"


class RunFolder:
    """A folder that is filled under a hidden name, `path`, and takes its own name when the run has ended well.

    >>> with RunFolder("runs/mine") as folder:
    ...     (folder.path / "metrics.json").write_text("{}")

    The hidden folder stands beside the one named, or inside it where that is there already: it may be a mount, or all
    that the user may write to. Every process of a run may enter; only the first one writes.

    `checkpoints` is the one thing that a run writes into the named folder before it ends. It is gone when the run has
    ended well; after an error it stays, with the logs in the hidden folder, which the run that goes on adopts. Where it
    holds nothing, nothing is left behind.

    Raises OptionError for a folder that another run is at work on, and for one that holds something, unless
    `overwrite`: then what the run wrote replaces what has the same name, and other files stay. With `resume` (see
    OutputOptions) it may hold checkpoints; RunFinished where its run has ended.
    """

    def __init__(self, target: str | Path, overwrite: bool = False, resume: str | None = None) -> None:
        self.target = Path(target)
        self._writes = int(os.environ.get("RANK", "0")) == 0
        self._real = Path(os.path.realpath(target))
        self.checkpoints = self._real / CHECKPOINTS
        with self._as_option_error():
            self._lock = self._lock_of_all_runs()
            if self._writes:
                self._lock.require_free()  # first, for what else would be said is not so while a run goes on
            self._refuse_what_is_there(overwrite, resume is not None)
            home = self._real if self._real.is_dir() else self._real.parent
            self._new_parents = [parent for parent in (self._real, *self._real.parents) if not parent.exists()]
            left = self._left_behind() if resume is not None else []
        self._abandoned = left[1:]
        self.path = left[0] if left else home / f"{self._hidden}{uuid.uuid4().hex[:12]}"
        self._mode = 0

    def __enter__(self) -> RunFolder:
        if self._writes:
            with self._as_option_error():
                try:
                    self._lock.path.parent.mkdir(parents=True, exist_ok=True)
                    self._lock.acquire()
                    for path in self._abandoned:
                        shutil.rmtree(path, ignore_errors=True)
                    self.path.mkdir(parents=True, exist_ok=True)
                    self._keep_logs_alone()
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
            self._end(is_well=kind is None)
        finally:
            self._lock.release(remove=True)

    def _end(self, is_well: bool) -> None:
        if not is_well and _holds_something(self.checkpoints):
            self._keep_logs_alone()
            with contextlib.suppress(OSError):  # it holds them
                self.path.rmdir()
            return
        if not is_well:
            self._remove_leftovers()
            return
        try:
            self._take_its_name()
        except BaseException:
            self._remove_leftovers()
            raise
        self._remove_checkpoints()
        shutil.rmtree(self.path, ignore_errors=True)

    def _take_its_name(self) -> None:
        for file in self.path.rglob("*"):
            if file.is_file():  # safetensors makes files that only their owner may read
                file.chmod(stat.S_IMODE(file.stat().st_mode) | self._mode)
        if self.checkpoints.is_dir():  # which alone would be left, were they gone and the rest not on disk
            flush_folder(self.path)
        if not self._real.exists():
            os.replace(self.path, self._real)
            return
        # Last what tells a run: one that is killed now has not ended, nor has the one that it replaces.
        (self._real / _RUN_FILE).unlink(missing_ok=True)
        for item in sorted(self.path.iterdir(), key=lambda item: item.name == _RUN_FILE):
            _replace(item, self._real / item.name)

    def _remove_checkpoints(self) -> None:
        if self.checkpoints.is_dir():
            flush(self._real)
            os.rename(self.checkpoints, self.path.with_name(f"{self._hidden}{uuid.uuid4().hex[:12]}"))  # all at once
            for path in self._left_behind():
                shutil.rmtree(path, ignore_errors=True)

    def _keep_logs_alone(self) -> None:
        for item in self.path.iterdir():
            if item.name != _LOGS:
                shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink()

    def _remove_leftovers(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release(remove=True)
        for parent in self._new_parents:
            with contextlib.suppress(OSError):  # it holds something
                parent.rmdir()

    @property
    def _hidden(self) -> str:
        return f"{_HIDDEN}{self._real.name[:100]}-"

    def _lock_of_all_runs(self) -> Lock:
        """The lock that every run of this folder asks for: beside it, or inside where nothing can be beside it."""
        parent = self._real.parent
        is_apart = os.path.ismount(self._real) or (self._real.is_dir() and not os.access(parent, os.W_OK))
        home = self._real if is_apart else parent
        return Lock(
            home / f"{self._hidden}{zlib.crc32(os.fsencode(self._real.name)):08x}.lock",
            f"--output_dir {self.target}: another run is at work on it; wait for its end, or name another folder.",
        )

    def _left_behind(self) -> list[Path]:
        """Hidden folders of runs of this folder that were stopped, the latest first."""
        name = re.compile(re.escape(self._hidden) + "[0-9a-f]{12}")
        beside = [home for home in (self._real, self._real.parent) if home.is_dir()]
        found = [path for home in beside for path in home.iterdir() if name.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def _refuse_what_is_there(self, overwrite: bool, resume: bool) -> None:
        if os.path.lexists(self._real) and not self._real.is_dir():
            raise OptionError(f"--output_dir {self.target} is not a folder; name one that is, or a new one.")
        # A run that was killed may have left its hidden folder.
        there = [p.name for p in self._real.iterdir() if not p.name.startswith(_HIDDEN)] if self._real.is_dir() else []
        is_stopped = CHECKPOINTS in there
        if resume and _RUN_FILE in there and not is_stopped:
            if self._writes and (left := self._left_behind()):  # by a kill when all was done
                self._lock.acquire()
                for path in left:
                    shutil.rmtree(path, ignore_errors=True)
                self._lock.release(remove=True)
            raise RunFinished(f"The run in {self.target} has ended; there is nothing to resume.")
        if not there or overwrite or (resume and is_stopped):
            return
        if is_stopped:
            raise OptionError(
                f"--output_dir {self.target} holds a run that was stopped; --resume goes on with it, and "
                f"--overwrite_output_dir begins anew."
            )
        what = "already holds a run" if _RUN_FILE in there else "is not empty"
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


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(_HIDDEN) for path in folder.iterdir())


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
