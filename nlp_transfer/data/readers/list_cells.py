"""Lists that a file spells in a cell of text."""

from __future__ import annotations

import ast
import json
import re
from typing import Any, NamedTuple

_ARRAY = re.compile(r"(?:array|Index|list|tuple|set|frozenset)\((.*?)(?:,\s+dtype=[^()]*)?\)", re.DOTALL)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PARTED_BY_BLANKS = re.compile(rf"\[\s*(?:{_QUOTED}(?:\s+{_QUOTED})+|{_NUMBER}(?:\s+{_NUMBER})+)\s*\]", re.DOTALL)
_ITEM = re.compile(rf"{_QUOTED}|{_NUMBER}", re.DOTALL)
_LONGEST = 100_000  # characters; the parser of Python takes memory for each


class ListCell(NamedTuple):
    """The values of a list, and what writes lists so: JSON, Python or NumPy."""

    values: list[Any]
    style: str


def list_in(text: str) -> ListCell | None:
    """The list, tuple or set that a cell spells; None where it spells none.

    >>> list_in("['late' 'rude']")
    ListCell(values=['late', 'rude'], style='NumPy')
    """
    text = text.strip()
    if match := _ARRAY.fullmatch(text):
        text = match[1].strip()
    if len(text) > _LONGEST or text[:1] + text[-1:] not in ("[]", "()", "{}"):
        return None
    if text[0] == "[":
        try:
            return ListCell(json.loads(text), "JSON")
        except (ValueError, RecursionError):
            if _PARTED_BY_BLANKS.fullmatch(text):  # before Python's parser, which joins 'a' 'b' to 'ab'
                return ListCell([ast.literal_eval(_whole(item)) for item in _ITEM.findall(text)], "NumPy")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    if isinstance(value, set):
        value = sorted(value, key=str)
    return ListCell(list(value), "Python") if isinstance(value, list | tuple) else None


def _whole(item: str) -> str:
    """The item, a number without zeros before it, which Python refuses: "01" is 1."""
    return item if item[0] in "'\"" else re.sub(r"^([-+]?)0+(?=\d)", r"\1", item)
