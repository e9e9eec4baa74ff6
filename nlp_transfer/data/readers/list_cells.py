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
_SCALAR = re.compile(rf"np\.[a-z_]+[0-9]*\(({_QUOTED}|{_NUMBER}|True|False)\)")  # as NumPy 2 writes what it holds
_BARE = re.compile(r"(?:\[[^\[\]{}()\"']*\]|\{[^\[\]{}()\"':]*\})")
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
    text = _SCALAR.sub(r"\1", text.strip()) if "np." in text else text.strip()
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


def bare_list_in(text: str) -> list[str] | None:
    """The items of a list without quotes, as Spark and PostgreSQL write it; "[sic]" is one as well.

    >>> bare_list_in("{late, rude}")
    ['late', 'rude']
    """
    text = text.strip()
    if not _BARE.fullmatch(text):
        return None
    return [item.strip() for item in text[1:-1].split(",")] if text[1:-1].strip() else []


def is_object(text: str) -> bool:
    """Whether a text is a JSON object with anything in it."""
    try:
        value = json.loads(text)
        return isinstance(value, dict) and bool(value)
    except (ValueError, RecursionError):
        return False
