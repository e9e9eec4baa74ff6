"""A lock file that keeps a second process out of a folder."""

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
    """A file that one process holds at a time; the kernel releases it when the process ends, even if killed.

    `busy` is the message of the OptionError if another process holds it. On a file system without locks a warning is
    logged, and no process is kept out.
    """

    def __init__(self, path: Path, busy: str) -> None:
        self.path = path
        self.busy = busy
        self._lock = FileLock(path, timeout=0)

    def require_free(self) -> None:
        """Raise OptionError if another process holds it; writes nothing."""
        if self.path.exists():  # else no process does
            self.acquire()
            self._lock.release()

    def acquire(self) -> None:
        """Hold it until `release`. Raises OptionError if another process does, OSError if the file cannot be made."""
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OptionError(self.busy) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self.path.unlink(missing_ok=True)
            log.warning(
                "%s: this file system has no locks; make sure that no second run uses this folder.", self.path.parent
            )

    def wait(self) -> None:
        """Wait until no other process holds it, then hold it; `busy` is logged if there is a wait. OSError as above."""
        try:
            self._lock.acquire()
        except Timeout:
            log.info(self.busy)
            self._lock.acquire(timeout=-1)

    def release(self, remove: bool = False) -> None:
        """Release it, if it is held, and with `remove` delete its file, which is safe while it is held."""
        if remove and self._lock.is_locked:  # a process that waits for it notices, and makes a new one
            with contextlib.suppress(OSError):  # Windows deletes no open file
                self.path.unlink()
        self._lock.release(force=True)
