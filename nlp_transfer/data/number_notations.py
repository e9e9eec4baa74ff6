"""Numbers as people write them: 3,5 and 1.234,5 and 1 234 and 37% and 4/5."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nlp_transfer.errors import DataError

MARKS = {"point": ".", "comma": ","}
"""What may part the fraction of a number."""

_BLANKS = " \u00a0\u2009\u202f"
_GROUPED_BY = {".": f",'\u2019{_BLANKS}", ",": rf"\.'\u2019{_BLANKS}"}
_NUMBER = {
    mark: re.compile(
        rf"(?P<sign>[-+\u2212]?)(?P<whole>[1-9]\d{{0,2}}(?P<parted>[{groups}])\d{{3}}(?:(?P=parted)\d{{3}})*|\d*)"
        rf"(?:{re.escape(mark)}(?P<fraction>\d*))?(?P<exponent>[eE][-+]?\d+)?"
    )
    for mark, groups in _GROUPED_BY.items()
}


class Notation(NamedTuple):
    """How the numbers of a column are written: plain as `float` reads them, or with a mark and a unit.

    `unit` is a percent or a currency sign, "/" before a denominator, or nothing; `of` is the denominator that all have.
    """

    mark: str = "."
    unit: str = ""
    of: float | None = None
    is_plain: bool = True

    def read(self, text: str) -> float | None:
        """The finite number that a text spells in this notation; None where it spells none."""
        if self.is_plain:
            return as_number(text)
        if self.unit == "/":
            above, _, below = (part.strip() for part in text.partition("/"))
            number, of = _number(above, self.mark), _number(below, self.mark)
            if number is None or not of or (self.of is not None and of != self.of):
                return None
            return number if self.of is not None else number / of
        bare = text.strip()
        if self.unit:
            if self.unit not in (bare[:1], bare[-1:]):
                return None
            bare = bare.removeprefix(self.unit).removesuffix(self.unit).strip()
        return _number(bare, self.mark)


PLAIN = Notation()


def as_number(text: str) -> float | None:
    """The finite number that `text` spells; float() takes "nan" and "1_0" as well."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def notation_of(labels: Iterable[str], column: str, mark: str | None = None) -> Notation:
    """The notation that reads most of the different `labels` of a column, the plain one of several.

    `mark`, "point" or "comma", says what parts fractions. DataError where two notations read as many, and differently.
    """
    distinct = list(dict.fromkeys(labels))
    allowed = [MARKS[mark]] if mark else list(MARKS.values())
    units = {_unit(label) for label in distinct[:1000]}
    known = [Notation(m, unit, None, False) for unit in sorted(units) for m in allowed]
    known = [_with_denominator(notation, distinct) for notation in known]
    if "." in allowed:
        known.insert(0, PLAIN)
    counts = [sum(notation.read(label) is not None for label in distinct) for notation in known]
    best = known[counts.index(max(counts))]
    if not best.is_plain:
        rivals = [notation for notation, count in zip(known, counts, strict=True) if count == max(counts)]
        for label in distinct:
            readings = [notation.read(label) for notation in rivals]
            if len({reading for reading in readings if reading is not None}) > 1:
                raise DataError(
                    f"column '{column}' holds numbers that can be read in two ways: '{label}' is "
                    + " or ".join(
                        f"{reading:.15g} with a decimal {name}"
                        for name, sign in MARKS.items()
                        for notation, reading in zip(rivals, readings, strict=True)
                        if notation.mark == sign and reading is not None
                    )
                    + "; give --decimal_mark point or comma, or --problem single_label if they are names."
                )
    return best


def example(labels: Sequence[str], notation: Notation) -> str:
    """How a label that shows most of a notation is read: "'3,5' is read as 3.5"."""
    shown = max((label for label in labels if notation.read(label) is not None), key=lambda text: (len(text), text))
    return f"'{shown}' is read as {notation.read(shown):.15g}"


def _unit(label: str) -> str:
    label = label.strip()
    if "/" in label:
        return "/"
    ends = label[:1] + label[-1:]
    return next((sign for sign in ends if sign == "%" or unicodedata.category(sign) == "Sc"), "")


def _with_denominator(notation: Notation, labels: Sequence[str]) -> Notation:
    if notation.unit != "/":
        return notation
    below = {_number(label.partition("/")[2].strip(), notation.mark) for label in labels if notation.read(label)}
    return notation._replace(of=below.pop()) if len(below) == 1 else notation


def _number(text: str, mark: str) -> float | None:
    match = _NUMBER[mark].fullmatch(text)
    if not match or not (match["whole"] or match["fraction"]):
        return None
    whole = match["whole"].replace(match["parted"], "") if match["parted"] else match["whole"]
    sign = "-" if match["sign"] in ("-", "\u2212") else ""
    return as_number(f"{sign}{whole or 0}.{match['fraction'] or 0}{match['exponent'] or ''}")


_FEW = 20
"""Different labels that a file of scores has more of, and a scale labelled by hand seldom has."""


def measured(labels: Iterable[str], column: str, mark: str | None = None) -> Notation | None:
    """The notation of labels that are measured rather than named, if they are.

    Nine in ten are numbers. Plain ones are more than a scale labelled by hand has, and some of them fractions; others,
    which nobody would call a class, are three at least.
    """
    distinct = set(labels)
    if not distinct or not any(any(c.isdigit() for c in label) for label in distinct):
        return None
    plain = [number for number in map(PLAIN.read, distinct) if number is not None]
    if len(plain) >= 0.9 * len(distinct):
        fractions = any(number != int(number) for number in plain)
        return PLAIN if fractions and len(distinct) > _FEW else None
    notation = notation_of(sorted(distinct), column, mark)
    others = {label for label in distinct if notation.read(label) is None}
    if len(others) <= min(len(distinct) - 3, 0.1 * len(distinct)):
        return None if notation.is_plain else notation
    if not notation.is_plain and all(PLAIN.read(label) is not None for label in others) and len(distinct) > 2:
        one = min(others)
        raise DataError(
            f"column '{column}' holds numbers that are written in two ways, {example(sorted(distinct), notation)} and "
            f"'{one}' as {PLAIN.read(one):.15g}; write them alike, or give --problem single_label if they are names."
        )
    return None
