"""Findings of a data check: what is wrong, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.system.text import cut

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first. An error makes scores worthless or stops a run; a note may be as it should be."""

_SHOWN = 5  # examples or names of a finding: enough to see what is meant


class Place(NamedTuple):
    """Where a row stands."""

    split: str
    file: str
    unit: str
    line: int | str

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}"


class Example(NamedTuple):
    """A row that a finding is about, and what about it."""

    place: Place
    text: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One finding: a sentence on what it is, how to mend it, and the rows that it is about.

    `kind` is a name for programs, `what` and `mend` are for people. `places` are all rows, `examples` the first few;
    `repeats` is the split that has these rows too.
    """

    severity: Severity
    kind: str
    what: str
    mend: str
    places: tuple[Place, ...] = ()
    examples: tuple[Example, ...] = ()
    repeats: str | None = None

    @property
    def where(self) -> str:
        """The first rows of each file: "test.csv, lines 3, 9, 11, 12, 14 ..."."""
        files: dict[tuple[str, str], list[int | str]] = {}
        for place in self.places:
            files.setdefault((place.file, place.unit), []).append(place.line)
        return "; ".join(f"{file}, {some_numbers(lines, unit)}" for (file, unit), lines in files.items())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "what": self.what,
            "mend": self.mend,
            "where": self.where,
            "repeats": self.repeats,
            "rows": [place._asdict() for place in self.places],
            "examples": [example._asdict() | {"place": str(example.place)} for example in self.examples],
        }


def some(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The first few, long texts cut."""
    first = [example for example, _ in zip(examples, range(_SHOWN), strict=False)]
    return tuple(example._replace(text=cut(example.text)) for example in first)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes; those of more rows first."""
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), -len(f.places))))


def rows_in_words(count: int) -> str:
    """ "1 row", "1,200 rows"."""
    return f"{count:,} row{'s' * (count != 1)}"


def share(part: int, whole: int) -> str:
    """A share in words: "3 of 1,000 (0.3%)"."""
    return f"{part:,} of {whole:,} ({part / max(whole, 1):.1%})"


def quoted(names: Sequence[str]) -> str:
    """The first names in quotes: "'a', 'b' ..."."""
    return ", ".join(f"'{cut(name, 60)}'" for name in names[:_SHOWN]) + " ..." * (len(names) > _SHOWN)
