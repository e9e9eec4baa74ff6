"""Rows whose labels are read anew: as numbers, by position, by id, or as one label where they were lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import datasets

from nlp_transfer.data.labels import feature_of, is_mark, problem_of
from nlp_transfer.data.number_notations import Notation, example, measured, notation_of
from nlp_transfer.data.readers import BadRow
from nlp_transfer.data.readers.bad_rows import faults, nothing_left
from nlp_transfer.data.row_store import slices, stored, values
from nlp_transfer.data.rows import Rows, fingerprint
from nlp_transfer.errors import DataError


def notation_in(rows: Rows, mark: str | None = None) -> Notation:
    """The notation of numbers in the labels of rows. DataError where it can be one or the other."""
    return notation_of(values(rows.data, "label"), _column(rows), mark)


def notation_measured(rows: Rows, mark: str | None = None) -> Notation | None:
    """The notation of labels that look like measured numbers, if they do. DataError where they can be two."""
    return measured(values(rows.data, "label"), _column(rows), mark)


def as_numbers(rows: Rows, notation: Notation, skip_bad_rows: bool = False) -> Rows:
    """The rows with the numbers that their labels spell. DataError for others, unless they are to be skipped."""
    fault = f"a label that is no finite number{notation.described}"
    return _noting(_changed(rows, notation.read, "regression", fault, skip_bad_rows), rows, notation)


def as_single_labels(rows: Rows) -> Rows:
    """The rows, of which each has one label in a list, with that label."""
    return _changed(rows, lambda labels: labels[0], "single_label", "no label", False)


def without_repeats(rows: Rows) -> Rows:
    """The rows with each of their labels once."""
    if all(len(set(labels)) == len(labels) for labels in values(rows.data, "label")):
        return rows
    return _changed(rows, lambda labels: list(dict.fromkeys(labels)), "multi_label", "", False)


def by_position(rows: Rows, names: Sequence[str], skip_bad_rows: bool) -> Rows:
    """The rows, whose labels are lists of a mark for each of `names`, with those that are marked."""

    def marked(marks: list[str]) -> list[str] | None:
        if len(marks) != len(names) or not all(map(is_mark, marks)):
            return None
        return [name for name, mark in zip(names, marks, strict=True) if mark.lower() in ("1", "1.0", "true")]

    fault = f"labels that are not {len(names)} of 0 and 1, one for each of --label_names"
    return _changed(rows, marked, "multi_label", fault, skip_bad_rows)


def named(train: Rows, names: Sequence[str], skip_bad_rows: bool) -> Callable[[Rows], Rows]:
    """What names the labels of a split, that are ids of `names`, or names already, as the training rows show.

    DataError where they can be both.
    """
    problem = problem_of(train.data)
    found = values(train.data, "label")
    distinct = {label for several in found for label in several} if problem == "multi_label" else set(found)
    ids = {str(number): name for number, name in enumerate(names)}
    themselves = {name: name for name in names}
    if distinct <= ids.keys() & themselves.keys() and any(ids[label] != label for label in distinct):
        raise DataError(
            f"column '{_column(train)}' holds numbers, and so does --label_names, so that '{min(distinct)}' may be a "
            "name or the place of one; give names that are no numbers."
        )
    known = ids if len(distinct & ids.keys()) > len(distinct & themselves.keys()) else themselves
    fault = f"a label beside the {len(names)} of --label_names" + (f" (0 to {len(names) - 1})" if known is ids else "")

    def change(label: Any) -> Any:
        if problem != "multi_label":
            return known.get(label)
        return None if any(one not in known for one in label) else list(dict.fromkeys(known[one] for one in label))

    return lambda rows: _changed(rows, change, problem, fault, skip_bad_rows)


def in_digits(rows: Rows, notation: Notation) -> Rows:
    """The rows with labels that spell numbers spelt as Python does, and others as they are: "3,5" as "3.5"."""

    def spelt(label: str) -> str:
        number = notation.read(label)
        return label if number is None else f"{number:.15g}"

    return _noting(_changed(rows, spelt, "single_label", "", False), rows, notation)


def _column(rows: Rows) -> str:
    return rows.columns["label"]


def _noting(changed: Rows, rows: Rows, notation: Notation) -> Rows:
    if notation.is_plain:
        return changed
    said = example(list(values(rows.data, "label")), notation)
    return replace(changed, notes=(*changed.notes, f"{rows.source}: column '{_column(rows)}' holds numbers: {said}."))


def _changed(rows: Rows, change: Callable[[Any], Any], problem: str, fault: str, skip_bad_rows: bool) -> Rows:
    bad: list[BadRow] = []
    features = datasets.Features({**rows.data.features, "label": feature_of(problem)})

    def batches() -> Iterator[dict[str, list[Any]]]:
        for columns in slices(rows.data):
            labels = [change(label) for label in columns["label"]]
            bad.extend(
                BadRow(line, fault, line) for line, label in zip(columns["line"], labels, strict=True) if label is None
            )
            fits = [place for place, label in enumerate(labels) if label is not None]
            columns["label"] = labels
            yield {name: [values[place] for place in fits] for name, values in columns.items()}

    data = stored(batches(), features)
    if bad and not skip_bad_rows:
        raise DataError(
            f"{rows.source} has {faults(bad, rows.unit)}. Mend them, or leave them out with --skip_bad_rows."
        )
    if not len(data):
        raise DataError(nothing_left(rows.source, bad, rows.unit))
    return replace(rows, data=data, sha256=fingerprint(data), skipped=(*rows.skipped, *(row.at for row in bad)))
