"""The kinds of label that a row may have: one of several, some of several, a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, is_unicode, plain, plain_list
from nlp_transfer.data.readers.list_cells import is_object, list_in
from nlp_transfer.system.invisible import bare

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
    several `columns` of 0 and 1, and `single_label` elsewhere. `names` are those of labels that are ids, or 0 and 1 by
    position; `decimal_mark` is what parts the fraction of a number.
    """

    problem: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    decimal_mark: str | None = None

    def problem_with(self, some: Iterable[Any]) -> str:
        """The problem that is set, or that most of `some` values of the label column show."""
        if self.problem:
            return self.problem
        values = [value for value in some if value is not None]
        in_lists = 2 * sum(isinstance(value, list) for value in values) > len(values)  # one of many is a bad row
        are_several = self.delimiter or self.columns or in_lists
        return "multi_label" if are_several else "single_label"

    def reading(self, problem: str) -> Reading:
        """What reads a label of `problem` from the cells of a row, numbers, ids and marks as they are written."""
        if problem != "multi_label":
            # Of lists where single labels are found, those of one label are as odd as the others.
            return _one_label if self.problem is None else _one_label_in_a_list
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


def is_mark(label: str) -> bool:
    """Whether a label says no or yes, as 0 and 1 do."""
    return label.strip().lower() in _MARKS


def _one_label(cells: Sequence[Cell]) -> tuple[str, str | None]:
    label = plain(cells[0]).strip()
    if label[:1] in _OPENING and (what := _several_in(label)):
        return "", what
    return label, None if label and (label.isascii() or bare(label)) else "no label"


_OPENING = ("[", "{", "(")


def _several_in(label: str) -> str | None:
    """What is wrong with a label that spells several, among labels that spell one."""
    listed = list_in(label)
    if listed and any(not isinstance(value, int | float) for value in listed.values):
        return "a list of labels in a cell, where most have one label (--problem multi_label takes lists in all)"
    if label[0] == "{" and label[-1] == "}" and is_object(label):
        return "an object in a cell, where a label should be"
    return None


def _one_label_in_a_list(cells: Sequence[Cell]) -> tuple[str, str | None]:
    """A label, or that of a list of one."""
    cell = cells[0]
    if isinstance(cell.value, list):
        if len(cell.value) > 1:
            return "", "several labels in its list (--problem multi_label takes them)"
        cell = cell._replace(value=cell.value[0] if cell.value else None)
    return _one_label([cell])


def _listed_labels(cells: Sequence[Cell]) -> tuple[list[str], str | None]:
    if cells[0].value is None:
        return [], "no list of labels ([] says that a text has none)"
    if isinstance(cells[0].value, str):
        return [], "labels that stand in no list (--label_delimiter names their separator)"
    labels = [label.strip() for label in plain_list(cells[0])]
    if labels and all(map(is_mark, labels)):  # by position, as may be
        return labels, None
    return _distinct(labels)


def _parted_labels(delimiter: str) -> Reading:
    def read(cells: Sequence[Cell]) -> tuple[list[str], str | None]:
        if cells[0].value is None:
            return [], "no labels (an empty text says that it has none)"
        text = plain(cells[0])
        if delimiter in text and (listed := list_in(text)) and listed.values:
            return [], "a list in a cell, which needs no --label_delimiter"
        labels = [label.strip() for label in text.split(delimiter)]
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
