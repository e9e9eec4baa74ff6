"""Descriptions of bad rows."""

from __future__ import annotations

from collections.abc import Sequence

from nlp_transfer.data.readers.records import BadRow


def some_numbers(numbers: Sequence[int | str], unit: str) -> str:
    """The first five line or row numbers, or names of files, in words: "lines 2, 5, 9, 11, 14 ..."."""
    shown = ", ".join(str(number) for number in numbers[:5]) + " ..." * (len(numbers) > 5)
    if unit != "file" and any(isinstance(number, str) for number in numbers):  # "part-1.csv, line 2"
        return shown
    return f"{unit}{'s' * (len(numbers) > 1)} {shown}"


def faults(bad: Sequence[BadRow], unit: str) -> str:
    """The faults of rows, in words: "2 rows with no text (lines 3, 9), 1 row with no label (line 4)"."""
    groups: dict[str, list[int | str]] = {}
    for row in bad:
        groups.setdefault(row.fault, []).append(row.at)
    parts = [
        f"{len(numbers):,} row{'s' * (len(numbers) > 1)} with {fault} ({some_numbers(numbers, unit)})"
        for fault, numbers in list(groups.items())[:3]
    ]
    more = sum(len(numbers) for numbers in list(groups.values())[3:])
    return ", ".join(parts) + (f", and {more:,} more bad row{'s' * (more > 1)}" if more else "")


def nothing_left(source: str, bad: Sequence[BadRow], unit: str) -> str:
    """The error for a source in which no row can be used."""
    if not bad:
        return f"{source} holds no rows; give a file with rows in it."
    return f"{source} has no row that can be used: it has {faults(bad, unit)}. Mend them, or check the column names."
