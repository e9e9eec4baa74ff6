"""Duplicates, contradictory labels, and leaks between splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nlp_transfer.checks.checked_rows import Part
from nlp_transfer.checks.finding import Example, Finding, rows_in_words, share, some

_MANY = 0.01  # share of rows from which duplicates weigh on a run


def repeated(parts: Sequence[Part]) -> Iterator[Finding]:
    """Leaks, contradictions and duplicates; the same text is the same but for case, white space and unicode form."""
    yield from leaks(parts)
    if not parts[0].has_scores:
        yield from contradictions(parts)
    yield from duplicates(parts)


def leaks(parts: Sequence[Part]) -> Iterator[Finding]:
    """Rows of validation or test that are also in train, and rows of test that are also in validation."""
    for place, part in enumerate(parts):
        for earlier in parts[:place]:
            copies = np.flatnonzero(np.isin(part.keys, earlier.keys))
            if not len(copies):
                continue
            is_train = earlier.name == "train"
            count = f"{share(len(copies), len(part))} {part.name} rows are also in {earlier.name} word for word"
            why = "scores on them do not measure generalization" if is_train else "the weights are selected on them"
            yield Finding(
                "error" if is_train else "warning",
                "leak",
                f"{count}: {why}.",
                f"Take them out of {earlier.rows.source} or out of {part.rows.source}."
                if earlier.rows.source != part.rows.source
                else f"Take copies out of {part.rows.source}, so that no text is held out and trained on.",
                part.places(copies),
                some(_copies(part, copies, earlier)),
                earlier.name,
            )


def contradictions(parts: Sequence[Part]) -> Iterator[Finding]:
    """Rows of the same text with different labels, in one split or in two."""
    keys = np.concatenate([part.keys for part in parts])
    labels = np.concatenate([part.label_keys for part in parts])
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    indices = np.concatenate([np.arange(len(part)) for part in parts])
    _, first, group, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[group] > 1)
    leader = first[group]  # the first row of each text
    torn = np.unique(leader[several][labels[several] != labels[leader[several]]])
    if not len(torn):
        return
    rows = several[np.isin(leader[several], torn)]
    rows = rows[np.argsort(leader[rows], kind="stable")]
    torn_rows = [(parts[owners[row]], int(indices[row])) for row in rows]
    what = "tags" if parts[0].is_tagged else "labels"
    yield Finding(
        "warning",
        "contradiction",
        f"{len(torn):,} text{'s' * (len(torn) > 1)} ({rows_in_words(len(rows))}) occur{'s' * (len(torn) == 1)} in "
        f"the data with different {what}: no model can be right on all of them.",
        f"Decide which {what} are right, and keep one row of each text.",
        tuple(part.place(row) for part, row in torn_rows),
        some(part.example(row, part.label(row)) for part, row in torn_rows),
    )


def duplicates(parts: Sequence[Part]) -> Iterator[Finding]:
    """Rows that repeat the text of an earlier row of the same split."""
    for part in parts:
        _, first, group = np.unique(part.keys, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[group] != np.arange(len(part)))
        if len(again):
            weight = "learned more often" if part.name == "train" else "counted more often"
            yield Finding(
                "warning" if len(again) > _MANY * len(part) else "note",
                "duplicate",
                f"{share(len(again), len(part))} {part.name} rows repeat an earlier text, which is {weight}.",
                f"Keep one row of each text in {part.rows.source}, unless they are meant to repeat.",
                part.places(again),
                some(part.example(row, f"as in {part.rows.unit} {part.lines[first[group[row]]]}") for row in again),
            )


def _copies(part: Part, rows: np.ndarray, earlier: Part) -> Iterator[Example]:
    order = np.argsort(earlier.keys, kind="stable")
    for row in rows:
        original = order[np.searchsorted(earlier.keys, part.keys[row], sorter=order)]
        yield part.example(row, f"also {earlier.place(original)}")
