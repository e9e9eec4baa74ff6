"""Cells of rows as plain strings and lists."""

from __future__ import annotations

import decimal
import math
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A value of a row, its column, and the flag that names that."""

    value: Any
    column: str
    flag: str


class WrongKind(Exception):  # noqa: N818 (no error for the user until the row is reported)
    """A cell holds something of another kind; the message completes "a row with ..."."""


HALF_CHARACTER = "half a character (a lone surrogate such as \\ud83d)"


def is_unicode(text: str) -> bool:
    """Whether `text` can be written: no surrogate stands alone in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(cell: Cell) -> str:
    """The value as a string, empty where there is none: 1 and 1.0 are "1", true is "true", 2.267 is "2.267".

    WrongKind where it is a list or an object.
    """
    value = cell.value
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f") if value.is_finite() else ""
    raise WrongKind(f"{_kind(value)} in column '{cell.column}', not a text or a number (see {cell.flag})")


def plain_list(cell: Cell) -> list[str]:
    """The values of a list as `plain` gives them, nothing where there is none. WrongKind where it is no list."""
    if cell.value is None:
        return []
    if not isinstance(cell.value, list):
        raise WrongKind(f"{_kind(cell.value)} in column '{cell.column}', not a list (see {cell.flag})")
    # Strings, which nearly all are, as they are: a cell for each word would take half the time of reading.
    return [value if type(value) is str else plain(cell._replace(value=value)) for value in cell.value]


def _kind(value: object) -> str:
    names = {str: "a text", dict: "an object", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
