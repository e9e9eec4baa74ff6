"""Errors for users: what is wrong, where, and how to mend it, in one line."""

from __future__ import annotations

import errno
import os
import signal


class UserError(Exception):
    """An error that the user can mend, with a message of one line.

    Recipes print it without a traceback and exit with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class OptionError(UserError):
    """An option is unknown, has an invalid value, or conflicts with another."""


class DataError(UserError):
    """A file, a column or a row cannot be used as it is."""


class ModelError(UserError):
    """A checkpoint cannot be loaded, or is not an encoder."""


class RunFinished(UserError):  # noqa: N818 (no error)
    """There is nothing left to do. Recipes print it and exit with status 0."""


class Interrupted(KeyboardInterrupt):
    """A signal has ended the run. Recipes print the message and exit with 128 and the signal's number."""

    def __init__(self, number: int = signal.SIGINT, message: str = "interrupted.") -> None:
        super().__init__(message)
        self.number = int(number)


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, of whatever library, says that the disk or a quota is full."""
    # safetensors raises an error of its own, without an errno
    full = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in full or any(os.strerror(number) in str(error) for number in full)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of an accelerator is full."""
    return type(error).__name__ == "OutOfMemoryError" and type(error).__module__ == "torch"  # not loaded here


def is_lost_process(error: BaseException) -> bool:
    """Whether an error says that another process of the run is lost; the launcher's log names it."""
    lost = type(error).__name__ in ("DistBackendError", "DistNetworkError")  # of torch.distributed, not loaded here
    return lost or (isinstance(error, RuntimeError) and "gloo/transport" in str(error))
