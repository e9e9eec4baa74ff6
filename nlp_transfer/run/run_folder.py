"""The output folder of a run, which appears complete or not at all."""

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
from nlp_transfer.run import waiting_process
from nlp_transfer.system.atomic_files import flush, flush_folder
from nlp_transfer.system.locking import Lock

_HIDDEN = ".incomplete-"
_RUN_FILE = "transfer.json"
_LOGS = "logs"


class RunFolder:
    """A folder that is written under a hidden name, `path`, and renamed when the run has succeeded.

    >>> with RunFolder("runs/mine") as folder:
    ...     (folder.path / "metrics.json").write_text("{}")

    The hidden folder is beside the target, or inside it if that exists: it may be a mount, or the only place that the
    user may write to. Every process of a run may enter; only the first one writes.

    `checkpoints` alone is written into the target before the run ends. It is removed when the run has succeeded; after
    an error it stays, and so do the logs in the hidden folder, which a resumed run takes over. Without checkpoints an
    error leaves nothing behind.

    Raises OptionError for a folder that another run is writing to, and for one that is not empty, unless `overwrite`:
    then files of the run replace those of the same name, and others stay. With `resume` (see OutputOptions) it may hold
    checkpoints; RunFinished if its run is complete. With `verify` the process that will verify the saved model is
    started at once, and its imports are done beside ours.
    """

    def __init__(
        self, target: str | Path, overwrite: bool = False, resume: str | None = None, verify: bool = False
    ) -> None:
        self.target = Path(target)
        self._verifies = verify
        self._writes = int(os.environ.get("RANK", "0")) == 0
        self._real = Path(os.path.realpath(target))
        self.checkpoints = self._real / CHECKPOINTS
        with self._as_option_error():
            self._lock = self._shared_lock()
            if self._writes:
                self._lock.require_free()  # first, as the other checks do not hold while a run is writing
            self._validate(overwrite, resume is not None)
            home = self._real if self._real.is_dir() else self._real.parent
            self._new_parents = [parent for parent in (self._real, *self._real.parents) if not parent.exists()]
            leftovers = self._leftovers() if resume is not None else []
        self._abandoned = leftovers[1:]
        self.path = leftovers[0] if leftovers else home / f"{self._hidden}{uuid.uuid4().hex[:12]}"
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
                    self._remove_all_but_logs()
                    self._mode = _mode_of_new_files(self.path)
                except OSError:
                    self._remove_leftovers()
                    raise
            if self._verifies:
                waiting_process.start()
        return self

    def require_room(self, needed: int) -> None:
        """Raise OptionError if the disk has less than `needed` bytes free; to be called before training."""
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
        waiting_process.stop()
        try:
            self._end(succeeded=kind is None)
        finally:
            self._lock.release(remove=True)

    def _end(self, succeeded: bool) -> None:
        if not succeeded and _has_visible_files(self.checkpoints):
            self._remove_all_but_logs()
            with contextlib.suppress(OSError):  # there are logs
                self.path.rmdir()
            return
        if not succeeded:
            self._remove_leftovers()
            return
        try:
            self._move_to_target()
        except BaseException:
            self._remove_leftovers()
            raise
        self._remove_checkpoints()
        shutil.rmtree(self.path, ignore_errors=True)

    def _move_to_target(self) -> None:
        for file in self.path.rglob("*"):
            if file.is_file():  # safetensors makes files that only their owner may read
                file.chmod(stat.S_IMODE(file.stat().st_mode) | self._mode)
        if self.checkpoints.is_dir():  # they are removed next, so all else must be on disk before a power cut
            flush_folder(self.path)
        if not self._real.exists():
            os.replace(self.path, self._real)
            return
        # transfer.json last, as it marks a complete run: a kill before that leaves none, not even the replaced one.
        (self._real / _RUN_FILE).unlink(missing_ok=True)
        for item in sorted(self.path.iterdir(), key=lambda item: item.name == _RUN_FILE):
            _replace(item, self._real / item.name)

    def _remove_checkpoints(self) -> None:
        if self.checkpoints.is_dir():
            flush(self._real)
            os.rename(self.checkpoints, self.path.with_name(f"{self._hidden}{uuid.uuid4().hex[:12]}"))  # all at once
            for path in self._leftovers():
                shutil.rmtree(path, ignore_errors=True)

    def _remove_all_but_logs(self) -> None:
        for item in self.path.iterdir():
            if item.name != _LOGS:
                shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink()

    def _remove_leftovers(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release(remove=True)
        for parent in self._new_parents:
            with contextlib.suppress(OSError):  # it is not empty
                parent.rmdir()

    @property
    def _hidden(self) -> str:
        return f"{_HIDDEN}{self._real.name[:100]}-"

    def _shared_lock(self) -> Lock:
        """The lock of all runs of this folder: beside it, or inside it if the parent is another mount or read-only."""
        parent = self._real.parent
        is_apart = os.path.ismount(self._real) or (self._real.is_dir() and not os.access(parent, os.W_OK))
        home = self._real if is_apart else parent
        return Lock(
            home / f"{self._hidden}{zlib.crc32(os.fsencode(self._real.name)):08x}.lock",
            f"--output_dir {self.target}: another run is writing to it; wait for its end, or name another folder.",
        )

    def _leftovers(self) -> list[Path]:
        """Hidden folders of stopped runs of this folder, the latest first."""
        name = re.compile(re.escape(self._hidden) + "[0-9a-f]{12}")
        homes = [home for home in (self._real, self._real.parent) if home.is_dir()]
        folders = [path for home in homes for path in home.iterdir() if name.fullmatch(path.name)]
        return sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)

    def _validate(self, overwrite: bool, resume: bool) -> None:
        if os.path.lexists(self._real) and not self._real.is_dir():
            raise OptionError(f"--output_dir {self.target} is not a folder; name one that is, or a new one.")
        # A run that was killed may have left its hidden folder.
        names = [p.name for p in self._real.iterdir() if not p.name.startswith(_HIDDEN)] if self._real.is_dir() else []
        is_stopped = CHECKPOINTS in names
        if resume and _RUN_FILE in names and not is_stopped:
            if self._writes and (leftovers := self._leftovers()):  # of a run that was killed in its last step
                self._lock.acquire()
                for path in leftovers:
                    shutil.rmtree(path, ignore_errors=True)
                self._lock.release(remove=True)
            raise RunFinished(f"The run in {self.target} has ended; there is nothing to resume.")
        if not names or overwrite or (resume and is_stopped):
            return
        if is_stopped:
            raise OptionError(
                f"--output_dir {self.target} holds a run that was stopped; give --resume to resume it, or "
                f"--overwrite_output_dir to start over."
            )
        fault = "already holds a run" if _RUN_FILE in names else "is not empty"
        raise OptionError(f"--output_dir {self.target} {fault}; name another, or give --overwrite_output_dir.")

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


def _has_visible_files(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(_HIDDEN) for path in folder.iterdir())


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
