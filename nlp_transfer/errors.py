"""The one family of errors a user is meant to read: what is wrong, where, and how to mend it, in one line."""

from __future__ import annotations


class UserError(Exception):
    """Something the person who started the run can mend.

    The message is one line. Recipes print it without a traceback and exit with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class OptionError(UserError):
    """An option is unknown, has a value that makes no sense, or clashes with another."""


class DataError(UserError):
    """A file, a column or a row cannot be used as it is."""


class ModelError(UserError):
    """A checkpoint cannot be loaded, or is not an encoder."""
