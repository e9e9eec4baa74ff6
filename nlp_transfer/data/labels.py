"""The kinds of label that a row may have: one of several, some of several, a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import datasets

from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, is_unicode, plain, plain_list
from nlp_transfer.errors import DataError

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

    def reading(self, problem: str, some: Iterable[Any] = ()) -> Reading:
        """What reads a label of `problem` from the cells of a row; that of a number is read as it is written.

        DataError where `some` values are 0 and 1 by position, and nothing names the positions.
        """
        if problem != "multi_label":
            # Of lists where single labels are found, those of one label are as odd as the others.
            one = _one_label if self.problem is None else _one_label_in_a_list
            return _named_labels(one, self.names) if self.names else one
        if self.columns:
            return _marked_labels
        if self.delimiter is not None:
            return _parted_labels(self.delimiter)
        width = marks_by_position(some)
        if not width:
            return _named_labels(_listed_labels, self.names) if self.names else _listed_labels
        if len(self.names) != width:
            names = f"{len(self.names)} with --label_names" if self.names else "none"
            raise DataError(
                f"labels are lists of {width} marks, 0 or 1 for each label by its position, and these have {width} "
                f"names, of which {names} are given; give all with --label_names, such as --label_names a,b,c."
            )
        return _labels_by_position(self.names)


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


def marks_by_position(some: Iterable[Any]) -> int:
    """How many marks each list has, where all lists are as long and hold 0 and 1, and one of them a mark twice; else 0.

    Lists of ids hold none twice.

    >>> marks_by_position([[0, 1, 0], [1, 0, 1]])
    3
    """
    lists = [value for value in some if isinstance(value, list)]
    widths = {len(value) for value in lists}
    if len(widths) != 1 or any(str(mark).lower() not in _MARKS for value in lists for mark in value):
        return 0
    return widths.pop() if any(len({_MARKS[str(m).lower()] for m in value}) < len(value) for value in lists) else 0


def _one_label(cells: Sequence[Cell]) -> tuple[str, str | None]:
    label = plain(cells[0]).strip()
    return label, None if label else "no label"


def _one_label_in_a_list(cells: Sequence[Cell]) -> tuple[str, str | None]:
    """A label, or that of a list of one."""
    cell = cells[0]
    if isinstance(cell.value, list):
        if len(cell.value) > 1:
            return "", "several labels in its list (--problem multi_label takes them)"
        cell = cell._replace(value=cell.value[0] if cell.value else None)
    return _one_label([cell])


def _named_labels(read: Reading, names: Sequence[str]) -> Reading:
    """The reading of labels that are ids of `names`, or names already."""

    def named(cells: Sequence[Cell]) -> tuple[Any, str | None]:
        label, fault = read(cells)
        if fault:
            return label, fault
        found = []
        for one in label if isinstance(label, list) else [label]:
            if one not in names and not (one.isdecimal() and int(one) < len(names)):
                return label, f"the label '{one}', where --label_names has {len(names)}, 0 to {len(names) - 1}"
            found.append(one if one in names else names[int(one)])
        return (found, None) if isinstance(label, list) else (found[0], None)

    return named


def _labels_by_position(names: Sequence[str]) -> Reading:
    def read(cells: Sequence[Cell]) -> tuple[list[str], str | None]:
        marks = [mark.strip().lower() for mark in plain_list(cells[0])]
        if len(marks) != len(names) or any(mark not in _MARKS for mark in marks):
            return [], f"labels that are not {len(names)} of 0 and 1, one for each of --label_names"
        return [name for name, mark in zip(names, marks, strict=True) if _MARKS[mark]], None

    return read


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
