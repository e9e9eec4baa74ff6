"""Does another process work here already?"""

from __future__ import annotations

import contextlib
import errno
import logging
from pathlib import Path

from filelock import FileLock, Timeout

from nlp_transfer.errors import OptionError

log = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)  # some network file systems, such as NFS without its daemon


class Lock:
    """A file that one process holds at a time; the kernel takes it from a process that has ended, be it by a kill.

    `busy` is what is told, as an OptionError, where another process holds it. On a file system that has no locks a line
    of the log says so, and nobody is kept out.
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
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self.path.unlink(missing_ok=True)
            log.warning(
                "%s: this file system has no locks; see to it that no second run works there.", self.path.parent
            )

    def wait(self) -> None:
        """Hold it as soon as nobody else does; `busy` goes to the log where that takes waiting. OSError as above."""
        try:
            self._lock.acquire()
        except Timeout:
            log.info(self.busy)
            self._lock.acquire(timeout=-1)

    def release(self, remove: bool = False) -> None:
        """Let others have it, if it is held; its file can be removed, which is safe as long as it is held."""
        if remove and self._lock.is_locked:  # whoever has opened it meanwhile sees that it is gone, and makes another
            with contextlib.suppress(OSError):  # a file that is open stays, on Windows
                self.path.unlink()
        self._lock.release(force=True)
