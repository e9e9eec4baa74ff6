"""Does another process work here already?"""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from nlp_transfer.errors import OptionError


class Lock:
    """A file that one process holds at a time; the kernel takes it from a process that has ended, be it by a kill.

    `busy` is what is told, as an OptionError, where another process holds it.
    """

    def __init__(self, path: Path, busy: str) -> None:
        self.path = path
        self.busy = busy
        self._lock = FileLock(path, timeout=0)

    def require_free(self) -> None:
        """Raise OptionError where another process holds it, and write nothing."""
        if self.path.exists():  # else nobody does
            self.acquire()
            self._lock.release()

    def acquire(self) -> None:
        """Hold it until `release`. Raises OptionError where another process does, OSError where no file can be."""
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OptionError(self.busy) from error

    def release(self, remove: bool = False) -> None:
        """Let others have it, if it is held; its file can be removed, which is safe as long as it is held."""
        if remove and self._lock.is_locked:
            with contextlib.suppress(OSError):  # a file that is open stays, on Windows
                self.path.unlink()
        self._lock.release(force=True)
