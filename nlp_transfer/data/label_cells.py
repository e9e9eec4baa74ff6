"""Labels of several that stand as text, or as an object, in a cell."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from nlp_transfer.data.number_notations import looks_numeric
from nlp_transfer.data.readers.annotated_labels import choices_in
from nlp_transfer.data.readers.list_cells import bare_list_in, list_in


class ListedCells(NamedTuple):
    """What turns a cell of a column into the list that it is, and a sentence on that for the user."""

    read: Callable[[Any], Any]
    how: str


def listed_cells(some: Iterable[Any]) -> ListedCells | None:
    """How lists are written in the cells of which `some` are given; None where these are read as they are.

    Most cells are texts that spell lists, as Python, JSON or NumPy write them, or all as Spark or PostgreSQL do; or
    one is an object of choices, as Label Studio writes them where a text has several.
    """
    values = [value for value in some if value is not None and value != ""]
    if any(_choices(value) is not None for value in values):
        return ListedCells(_choice_or_list, "as Label Studio writes choices")
    texts = [value for value in values if isinstance(value, str)]
    lists = [cell for cell in map(list_in, texts) if cell is not None]
    if 2 * len(lists) > len(values):
        styles = sorted({cell.style for cell in lists if cell.values}) or ["JSON"]
        return ListedCells(_spelt_list, f"as {' and '.join(styles)} {'writes' if len(styles) == 1 else 'write'} lists")
    bare = [items for items in map(bare_list_in, texts) if items is not None]
    if values and len(bare) == len(values) and any(len(items) > 1 for items in bare):
        return ListedCells(_bare_list, "without quotes, as Spark and PostgreSQL write them")
    return None


def _spelt_list(value: Any) -> Any:
    if value == "":
        return None
    cell = list_in(value) if isinstance(value, str) else None
    return value if cell is None else cell.values


def _bare_list(value: Any) -> Any:
    if value == "":
        return None
    items = bare_list_in(value) if isinstance(value, str) else None
    return value if items is None else items


def _choice_or_list(value: Any) -> Any:
    choices = _choices(value)
    if choices is not None:
        return choices
    return [value] if isinstance(value, str) and value.strip() else (None if value == "" else value)


def _choices(value: Any) -> list[Any] | None:
    """The choices of an object such as {"choices": ["a", "b"]}, of a list of such, or of its JSON; None of others."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and '"' in value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return choices_in(value)


_JOINTS = (";", "|", ",", "#")
_MARKS = re.compile(r"[01](?:[ ;,|]?[01])+")


def joint_of(labels: Iterable[str]) -> tuple[str, str] | None:
    """What labels look joined by, and an example: where parts of joined ones are met alone, or in other combinations.

    >>> joint_of(["late", "rude", "late;rude"])
    (';', 'late;rude')
    """
    distinct = set(labels)
    if looks_numeric(distinct):
        return None
    for joint in _JOINTS:
        parted = {label: [p.strip() for p in label.split(joint) if p.strip()] for label in distinct if joint in label}
        if not any(len(parts) > 1 for parts in parted.values()):
            continue
        seen = [part for parts in parted.values() for part in parts]
        alone = distinct - parted.keys()
        shared = [part for part in set(seen) if part in alone or seen.count(part) > 1]
        if 2 * len(shared) > len(set(seen)):
            return joint, max(parted, key=lambda label: (len(parted[label]), label))
    return None


def look_like_marks(labels: Iterable[str]) -> str | None:
    """A label such as "0 1 0", where all are as many marks of 0 and 1, three or more; None elsewhere."""
    distinct = set(labels)
    if len(distinct) < 3 or not all(map(_MARKS.fullmatch, distinct)):
        return None
    widths = {sum(c in "01" for c in label) for label in distinct}
    return max(distinct) if len(widths) == 1 and widths.pop() > 2 else None
