"""The train, validation and test rows of a run."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset, concatenate_datasets

from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows, fingerprint
from nlp_transfer.errors import DataError, OptionError

log = logging.getLogger(__name__)

_SHARE, _MOST_HELD_OUT = 0.1, 1000  # of the training rows, unless told otherwise

_MANNERS = {
    "single_label": "stratified by label",
    "multi_label": "at random, every label stays in train",
    "regression": "stratified by tenths of the numbers",
}


@dataclass(frozen=True)
class Splits:
    """The rows of a run, and in `notes` a sentence for the user on each thing done to them."""

    train: Rows
    validation: Rows | None
    test: Rows | None
    notes: tuple[str, ...] = ()
    held_out_share: float | None = None
    """The share of the training rows that was held out for validation, where some were."""
    unlabelled: Rows | None = None
    """Test rows that have no labels: they are predicted, and not scored."""

    def __repr__(self) -> str:
        parts = {"validation": self.validation, "test": self.test}
        others = "".join(f", {name} {len(rows.data):,}" for name, rows in parts.items() if rows is not None)
        return f"Splits(train {len(self.train.data):,} rows{others})"

    @property
    def scored(self) -> Rows | None:
        """The rows that a trained model is scored on in the end: test, else validation; None where neither is there."""
        return self.test or self.validation

    @property
    def are_tagged(self) -> bool:
        """Whether the rows are words with tags, and not texts with labels."""
        return "tags" in self.train.data.column_names

    def each(self, change: Callable[[Rows], Rows]) -> Splits:
        """The same splits with the rows of each changed."""
        validation, test = (change(rows) if rows is not None else None for rows in (self.validation, self.test))
        return replace(self, train=change(self.train), validation=validation, test=test)

    def misaligned(self) -> list[str]:
        """A line for each span of characters that did not align with words, wherever its row has gone."""
        parts = (rows for rows in (self.train, self.validation, self.test) if rows is not None)
        return list(dict.fromkeys(line for rows in parts for line in rows.misaligned))

    def taken_back(self) -> Splits:
        """The same splits with the rows that were held out for validation in train again, if any were."""
        if not self.held_out_share or self.validation is None:
            return self
        data = concatenate_datasets([self.train.data, self.validation.data])
        train = replace(self.train, data=data, sha256=fingerprint(data))
        note = f"Nothing is chosen by validation rows: the {len(self.validation.data):,} held out train too."
        log.info(note)
        return replace(self, train=train, validation=None, held_out_share=0.0).noting(note)

    def noting(self, *notes: str) -> Splits:
        """The same splits with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def make_splits(
    train: Rows,
    validation: Rows | None = None,
    test: Rows | None = None,
    *,
    share: float | None = None,
    seed: int = 0,
    label_column: str | None = "label",
) -> Splits:
    """Put the splits together; where there is no validation split, hold a share of the training rows out for it.

    A `share` of None is a tenth, and 1,000 rows at most: more tell no better which weights are best, and are missed in
    training. A `share` of 0 trains on every row: with no validation split, the last weights are used.
    """
    held_out_share = None
    share = min(_SHARE, _MOST_HELD_OUT / max(len(train.data), 1)) if share is None else share
    notes = [note for rows in (train, validation, test) if rows is not None for note in left_out_notes(rows)]
    if validation is None and not share:
        notes.append("No validation rows: every training row is trained on, and the last weights are used.")
    elif validation is None and test is not None and _only_one_each(train.data, label_column):
        notes.append(
            "No label has two rows, so none is held out: every row is trained on, and the last weights are used."
        )
        held_out_share = 0.0
    elif validation is None:
        whole = len(train.data)
        train, validation = hold_out(train, share, seed, label_column)
        held_out_share = share
        manner = _MANNERS[problem_of(train.data)] if label_column else "at random"
        notes.append(
            f"No validation file: held out {len(validation.data):,} of {whole:,} training rows "
            f"({len(validation.data) / whole:.0%}), {manner}, seed {seed}."
        )
    return Splits(train, validation, test, tuple(notes), held_out_share)


def _only_one_each(data: Dataset, label_column: str | None) -> bool:
    """Whether every label has a single row, so that none can be held out."""
    is_single = label_column is not None and len(data) > 0 and problem_of(data) == "single_label"
    return is_single and all(len(places) == 1 for places in places_by_label(data, label_column).values())


def left_out_notes(rows: Rows) -> tuple[str, ...]:
    """A sentence on the bad rows that were left out, if any were."""
    if not rows.skipped:
        return ()
    count = len(rows.skipped)
    return (f"{rows.source}: left out {count:,} bad row{'s' * (count > 1)} ({some_numbers(rows.skipped, rows.unit)}).",)


def hold_out(rows: Rows, share: float, seed: int, label_column: str | None) -> tuple[Rows, Rows]:
    """Part `rows` into those that stay and a `share` of them held out, stratified where `label_column` is given.

    Rows with several labels are held out at random, rows with a number so that each tenth of the numbers has its share.
    Both parts keep the order of the rows. Every label and every entity type keeps a row in the part that stays, so
    where many have a single row less than the share is held out. DataError if there are too few rows to hold any out.
    """
    if not 0 < share < 1:
        raise OptionError(f"the share of rows to hold out is {share}; give one between 0 and 1, such as 0.1.")
    groups = places_by_label(rows.data, label_column)
    wanted = max(1, round(share * len(rows.data)))
    seats = _seats({label: len(members) for label, members in groups.items()}, wanted)
    chance = random.Random(seed)
    is_held = np.zeros(len(rows.data), dtype=bool)
    for label in sorted(groups):
        is_held[groups[label][chance.sample(range(len(groups[label])), seats[label])]] = True
    if "tags" in rows.data.column_names:
        _release_only_ones(rows.data, "tags", _types, is_held)
    elif label_column and problem_of(rows.data) == "multi_label":
        _release_only_ones(rows.data, label_column, frozenset, is_held)
    if not is_held.any():
        raise DataError(_too_few(rows, label_column))
    return part_of(rows, ~is_held), replace(part_of(rows, is_held), skipped=())


def places_by_label(data: Dataset, label_column: str | None) -> dict[str, np.ndarray]:
    """Where the rows of each label stand, labels in the order in which they are met first."""
    if label_column is None or problem_of(data) == "multi_label":
        return {"": np.arange(len(data))}
    if problem_of(data) == "regression":
        order = np.argsort(np.fromiter(values(data, label_column), np.float64, len(data)), kind="stable")
        return {f"tenth {i}": np.sort(part) for i, part in enumerate(np.array_split(order, 10)) if len(part)}
    ids: dict[str, int] = {}
    labels = values(data, label_column)
    codes = np.fromiter((ids.setdefault(label, len(ids)) for label in labels), np.int32, len(data))
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    return dict(zip(ids, groups, strict=True))


def _seats(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Share `wanted` seats among labels in proportion to their sizes by largest remainder, a row of each unseated."""
    total = sum(sizes.values())
    seats = {label: min(size * wanted // total, size - 1) for label, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda label: (-(sizes[label] * wanted % total), label))
    with_room = [label for label in by_remainder if seats[label] < sizes[label] - 1]
    for label in with_room[: wanted - sum(seats.values())]:
        seats[label] += 1
    return seats


def _types(tags: Sequence[str]) -> frozenset[str]:
    return frozenset(tag[2:] for tag in tags if tag != "O")


def _release_only_ones(
    data: Dataset, column: str, kinds_of: Callable[[Sequence[str]], frozenset[str]], is_held: np.ndarray
) -> None:
    """Take out of `is_held` the rows with a label or entity type that no remaining row has."""
    covered: set[str] = set()
    held: list[frozenset[str]] = []
    known: dict[frozenset[str], frozenset[str]] = {}  # rows have few sets of kinds, which one object each holds
    for value, holds in zip(values(data, column), is_held, strict=True):
        kinds = kinds_of(value)
        if holds:
            held.append(known.setdefault(kinds, kinds))
        else:
            covered |= kinds
    for index, kinds in zip(np.flatnonzero(is_held), held, strict=True):
        is_held[index] = kinds <= covered
        covered |= kinds


def _too_few(rows: Rows, label_column: str | None) -> str:
    count = len(rows.data)
    if count < 2 or not label_column or problem_of(rows.data) != "single_label":
        rows_there = f"{rows.source} has {count} row{'s' * (count != 1)}"
        why = "".join(f" {note.removeprefix(f'{rows.source}: ')}" for note in rows.notes if "one sentence?" in note)
        return f"{rows_there}, too few to hold some out; add rows or give a --validation_file.{why}"
    return (
        f"{rows.source} has {count} rows and {count} labels in its column '{rows.columns[label_column]}', too few rows "
        "of a label to hold some out; add rows, give a --validation_file, or name another --label_column_name."
    )


def part_of(rows: Rows, belongs: np.ndarray) -> Rows:
    """The rows that `belongs`, `(rows,)`, is true of, in their order."""
    places = np.flatnonzero(belongs)
    data = rows.data.select(places.tolist(), new_fingerprint=uuid.uuid4().hex)  # its own is a hash of all places
    return replace(rows, data=data, sha256=fingerprint(data))
