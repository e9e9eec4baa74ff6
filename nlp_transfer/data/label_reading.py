"""What the labels of training rows are, which all of them show, and the reading of other splits as theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nlp_transfer.data.changed_labels import (
    as_numbers,
    as_single_labels,
    by_position,
    in_digits,
    named,
    notation_in,
    notation_measured,
    without_repeats,
)  # fmt: skip
from nlp_transfer.data.label_cells import joint_of, look_like_marks
from nlp_transfer.data.labels import LabelForm, is_mark, problem_of
from nlp_transfer.data.number_notations import Notation, as_number
from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows
from nlp_transfer.errors import DataError

Change = Callable[[Rows], Rows]


class LabelReading(NamedTuple):
    """How cells of labels are read (`form`), and what is then made of the rows of any split."""

    form: LabelForm
    change: Change


def reading_of(train: Rows, form: LabelForm, skip_bad_rows: bool, *, infers: bool, ordered: bool) -> LabelReading:
    """The reading that the labels of training rows, read by `form`, show.

    With `infers`, numbers and lists of one label are told from what they look like; `ordered` labels may be numbers
    and stay labels. DataError where labels can be read in two ways, or need names that are not there.
    """
    found = problem_of(train.data)
    alike = form._replace(problem=found)
    try:
        if form.columns:
            return LabelReading(form, _as_it_is)
        if found == "multi_label":
            return _several(train, form, alike, skip_bad_rows, infers)
        if form.names:
            return LabelReading(alike, named(train, form.names, skip_bad_rows))
        notation = _notation(train, form, infers, ordered)
    except DataError as error:
        raise DataError(f"{train.source}: {error}") from None
    if notation is None:
        return LabelReading(alike, _as_it_is)
    if ordered and form.problem != "regression":
        digits: Change = _as_it_is if notation.is_plain else lambda rows: in_digits(rows, notation)
        return LabelReading(alike, digits)
    return LabelReading(alike, lambda rows: as_numbers(rows, notation, skip_bad_rows))


def distinct_labels(rows: Rows) -> set[str]:
    """All labels of rows that are read as they are written."""
    found = values(rows.data, "label")
    return {label for labels in found for label in labels} if problem_of(rows.data) == "multi_label" else set(found)


def notes_on_labels(train: Rows) -> tuple[str, ...]:
    """A sentence on labels that look like several in one, or on lists that could be single labels."""
    problem = problem_of(train.data)
    if problem == "multi_label":
        counts = Counter(map(len, values(train.data, "label")))
        if set(counts) == {0, 1} and counts[1] >= 0.9 * counts.total():
            return (
                f"{train.source}: no text has several labels, and {counts[0]:,} of {counts.total():,} none; --problem "
                "single_label --skip_bad_rows learns one label a text.",
            )
        return ()
    if problem != "single_label":
        return ()
    labels = set(values(train.data, "label"))
    if marks := look_like_marks(labels):
        return (
            f"{train.source}: labels such as '{marks}' look like marks of 0 and 1 by position; give lists of them "
            "with --label_names, or a column for each label with --label_columns.",
        )
    if joint := joint_of(labels):
        return (
            f"{train.source}: labels such as '{joint[1]}' look like several in one; --label_delimiter '{joint[0]}' "
            "takes them apart.",
        )
    return ()


def _as_it_is(rows: Rows) -> Rows:
    return rows


def _several(train: Rows, form: LabelForm, alike: LabelForm, skip_bad_rows: bool, infers: bool) -> LabelReading:
    lists = list(values(train.data, "label"))
    if form.delimiter is None and (width := _width_of_marks(lists)):
        if len(form.names) != width:
            given = f"; --label_names has {len(form.names)}" if form.names else ""
            raise DataError(
                f"labels are lists of {width} marks, 0 or 1 for each label by its position{given}; give their {width} "
                "names with --label_names, such as --label_names a,b,c."
            )
        return LabelReading(alike, lambda rows: by_position(rows, form.names, skip_bad_rows))
    distinct = {label for labels in lists for label in labels}
    numbers = [as_number(label) for label in distinct]
    if distinct and None not in numbers and any(number != int(number or 0) for number in numbers):
        raise DataError(
            f"labels are lists of numbers such as {min(distinct)}, which name no labels; give lists of labels, or of 0 "
            "and 1 by position with --label_names."
        )
    if form.names:
        return LabelReading(alike, named(train, form.names, skip_bad_rows))
    if infers and form.delimiter is None and all(len(labels) == 1 for labels in lists):
        note = (
            f"{train.source}: every text has a list of one label, so a text has one label; --problem multi_label lets "
            "it have several."
        )

        def single(rows: Rows) -> Rows:
            if problem_of(rows.data) == "single_label":
                return rows
            return replace(changed := as_single_labels(rows), notes=(*changed.notes, note))

        return LabelReading(form._replace(problem="single_label"), single)
    return LabelReading(alike, without_repeats)


def _width_of_marks(lists: Sequence[Sequence[Any]]) -> int:
    """How many marks most lists have, one for each label by its position; 0 where they are labels or their ids.

    Lists as long as each other that hold 0 and 1 alone are marks: as ids they would give all rows the same labels, or
    one of them twice.
    """
    some = [labels for labels in lists if labels]
    widths = Counter(len(labels) for labels in some if all(map(is_mark, labels)))
    if not widths:
        return 0
    width, count = widths.most_common(1)[0]
    return width if width > 1 and count >= 0.9 * len(some) else 0


def _notation(train: Rows, form: LabelForm, infers: bool, ordered: bool) -> Notation | None:
    if form.problem == "regression":
        return notation_in(train, form.decimal_mark)
    return notation_measured(train, form.decimal_mark) if infers or ordered else None
