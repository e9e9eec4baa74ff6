"""Rows whose labels are read anew: as numbers, or as one label where they were lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import datasets

from nlp_transfer.data.labels import feature_of
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
    """The notation of labels that look like measured numbers, if they do."""
    return measured(values(rows.data, "label"), _column(rows), mark)


def as_numbers(rows: Rows, notation: Notation, skip_bad_rows: bool = False) -> Rows:
    """The rows with the numbers that their labels spell. DataError for others, unless they are to be skipped."""
    changed = _changed(rows, notation.read, "regression", "a label that is no finite number", skip_bad_rows)
    return _noting(changed, rows, notation)


def as_single_labels(rows: Rows) -> Rows:
    """The rows, of which each has one label in a list, with that label."""
    return _changed(rows, lambda labels: labels[0], "single_label", "no label", False)


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
