"""The kinds of label that a row may have: one of several, some of several, a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, is_unicode, plain, plain_list

_TYPES = {
    "single_label": datasets.Value("string"),
    "multi_label": datasets.List(datasets.Value("string")),
    "regression": datasets.Value("float64"),
}

Reading = Callable[[Sequence[Cell]], tuple[Any, str | None]]
"""What reads the label of a row from its cells: the label, and what is wrong with it, if anything is."""


class LabelForm(NamedTuple):
    """How a file writes labels.

    `problem` is one of `config.PROBLEMS`; None is `multi_label` where labels are lists, have a `delimiter` or stand in
    several `columns` of 0 and 1, and `single_label` elsewhere.
    """

    problem: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()

    def problem_with(self, some: Iterable[Any]) -> str:
        """The problem that is set, or that most of `some` values of the label column show."""
        if self.problem:
            return self.problem
        values = [value for value in some if value is not None]
        in_lists = 2 * sum(isinstance(value, list) for value in values) > len(values)  # one of many is a bad row
        are_several = self.delimiter or self.columns or in_lists
        return "multi_label" if are_several else "single_label"

    def reading(self, problem: str) -> Reading:
        """What reads a label of `problem` from the cells of a row."""
        if problem == "regression":
            return _a_number
        if problem == "single_label":
            return _one_label
        if self.columns:
            return _marked_labels
        return _listed_labels if self.delimiter is None else _parted_labels(self.delimiter)


AS_FOUND = LabelForm()
"""Several labels where the first rows have lists, one label elsewhere."""


def feature_of(problem: str) -> Any:
    """The type that a column of labels has in the rows of a `problem`."""
    return _TYPES[problem]


def problem_of(data: datasets.Dataset) -> str:
    """The problem that rows with such a column `label` pose."""
    feature = data.features["label"]
    if isinstance(feature, datasets.List):
        return "multi_label"
    return "regression" if feature.dtype.startswith("float") else "single_label"


def as_number(text: str) -> float | None:
    """The finite number that `text` spells; float() takes "nan" and "1_0" as well."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


_FEW = 20
"""Different labels that a file of scores has more of, and a scale labelled by hand seldom has."""


def look_like_numbers(labels: Iterable[str]) -> bool:
    """Whether labels are measured rather than named: nine in ten are numbers, and some of these are fractions."""
    distinct = set(labels)
    numbers = [number for number in map(as_number, distinct) if number is not None]
    fractions = any(number != int(number) for number in numbers)
    return fractions and len(distinct) > _FEW and len(numbers) >= 0.9 * len(distinct)


def _one_label(cells: Sequence[Cell]) -> tuple[str, str | None]:
    label = plain(cells[0]).strip()
    return label, None if label else "no label"


def _a_number(cells: Sequence[Cell]) -> tuple[float, str | None]:
    text = plain(cells[0]).strip()
    number = as_number(text)
    if number is None or isinstance(cells[0].value, bool):
        return 0.0, "a label that is no finite number" if text else "no label"
    return number, None


def _listed_labels(cells: Sequence[Cell]) -> tuple[list[str], str | None]:
    if cells[0].value is None:
        return [], "no list of labels ([] says that a text has none)"
    if isinstance(cells[0].value, str):
        return [], "labels that stand in no list (--label_delimiter names their separator)"
    return _distinct([label.strip() for label in plain_list(cells[0])])


def _parted_labels(delimiter: str) -> Reading:
    def read(cells: Sequence[Cell]) -> tuple[list[str], str | None]:
        if cells[0].value is None:
            return [], "no labels (an empty text says that it has none)"
        labels = [label.strip() for label in plain(cells[0]).split(delimiter)]
        return _distinct([label for label in labels if label])

    return read


def _marked_labels(cells: Sequence[Cell]) -> tuple[list[str], str | None]:
    marks = [plain(cell).strip().lower() for cell in cells]
    for cell, mark in zip(cells, marks, strict=True):
        if mark not in _MARKS:
            return [], f"neither 0 nor 1 in column '{cell.column}'"
    return [cell.column for cell, mark in zip(cells, marks, strict=True) if _MARKS[mark]], None


_MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def _distinct(labels: list[str]) -> tuple[list[str], str | None]:
    if not all(labels):
        return [], "an empty label in its list"
    return list(dict.fromkeys(labels)), None if is_unicode("".join(labels)) else HALF_CHARACTER
