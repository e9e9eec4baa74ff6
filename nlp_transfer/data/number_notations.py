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
        rf"(?P<sign>[-+\u2212]?)(?P<whole>[1-9]\d{{0,2}}(?P<parted>[{groups}])\d{{3}}(?:(?P=parted)\d{{3}})*|0|[1-9]\d*|)"
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
            if number is None or not of or number > of or (self.of is not None and of != self.of):
                return None
            return number if self.of is not None else number / of
        bare = text.strip()
        if not self.unit:
            return _number(bare, self.mark)
        sign = bare[:1] if bare[:1] in ("-", "+", "\u2212") else ""
        bare = bare.removeprefix(sign)
        if not bare.startswith(self.unit) and not bare.endswith(self.unit):
            return None
        return _number(sign + bare.removeprefix(self.unit).removesuffix(self.unit).strip(), self.mark)

    @property
    def described(self) -> str:
        """What a number is written with, in words; nothing where it is plain."""
        if self.is_plain:
            return ""
        mark = next(name for name, sign in MARKS.items() if sign == self.mark)
        unit = {"": "", "/": " before a denominator"}.get(self.unit, f" and {self.unit}")
        return f" (as others in train are, with a decimal {mark}{unit})"


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
    known = _notations(distinct, mark)
    counts = [sum(notation.read(label) is not None for label in distinct) for notation in known]
    best = known[counts.index(max(counts))]
    rivals = [notation for notation, count in zip(known, counts, strict=True) if count == max(counts)]
    if best.is_plain and not (max(counts) == len(distinct) and _may_be_thousands(distinct)):
        return best
    for label in distinct:
        readings = [notation.read(label) for notation in rivals]
        if len({reading for reading in readings if reading is not None}) > 1:
            listed = {
                f"{reading:.15g} with a decimal {name}": None
                for name, sign in MARKS.items()
                for notation, reading in zip(rivals, readings, strict=True)
                if notation.mark == sign and reading is not None
            }
            raise DataError(
                f"column '{column}' holds numbers that can be read in two ways: '{label}' is {' or '.join(listed)}; "
                "give --decimal_mark point or comma, or --problem single_label if they are names."
            )
    return best


def _may_be_thousands(labels: Sequence[str]) -> bool:
    """Whether points may stand between thousands, as in 5, 967 and 1.004: else some number had fewer digits behind."""
    return any(label.strip().lstrip("-").isdigit() for label in labels) and any("." in label for label in labels)


def _notations(labels: Sequence[str], mark: str | None) -> list[Notation]:
    allowed = [MARKS[mark]] if mark else list(MARKS.values())
    units = sorted({_unit(label) for label in labels[:1000]})
    known = [_with_denominator(Notation(m, unit, None, False), labels) for unit in units for m in allowed]
    return [PLAIN, *known] if "." in allowed else known


def example(labels: Sequence[str], notation: Notation) -> str:
    """How a label that shows most of a notation is read: "'3,5' is read as 3.5"."""
    shown = max((label for label in labels if notation.read(label) is not None), key=lambda text: (len(text), text))
    return f"'{shown}' is read as {notation.read(shown):.15g}"


def _unit(label: str) -> str:
    label = label.strip()
    if "/" in label:
        return "/"
    ends = label.lstrip("-+\u2212")[:1] + label[-1:]
    sign = next((sign for sign in ends if sign == "%" or unicodedata.category(sign) == "Sc"), "")
    if sign:
        return sign
    code = _CODE.match(label)
    return (code[1] or code[2]) if code else ""


_CODE = re.compile(r"([A-Z]{3})\s*[-+\u2212]?\d|.*\d\s*([A-Z]{3})$")  # of a currency: USD 12.50, 12,50 EUR


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

    Nine in ten are numbers, or all but one. Plain ones are more than a scale labelled by hand has, and some of them
    fractions; others, which nobody would call a class, are three at least. DataError where they can be read in two
    ways, or are written in two.
    """
    distinct = sorted(set(labels))
    if not distinct or not any(any(c.isdigit() for c in label) for label in distinct):
        return None
    plain = [number for number in map(PLAIN.read, distinct) if number is not None]
    are_plain = len(plain) >= 0.9 * len(distinct) and mark != "comma"
    if are_plain and (len(distinct) <= _FEW or not any(number != int(number) for number in plain)):
        return None
    notation = notation_of(distinct, column, mark)
    if are_plain:
        return notation
    others = [label for label in distinct if notation.read(label) is None]
    numbers = len(distinct) - len(others)
    are_most = numbers >= 3 and len(others) <= max(1, 0.1 * len(distinct))
    if are_most and not notation.is_plain and not _look_like_codes(distinct, notation):
        return notation
    _refuse_two_ways(distinct, others, notation, column, mark)
    return None


def looks_numeric(labels: Iterable[str]) -> bool:
    """Whether most labels are numbers in some notation, whatever they mean."""
    distinct = list(dict.fromkeys(labels))
    known = _notations(distinct, None)
    return 2 * sum(any(n.read(label) is not None for n in known) for label in distinct) > len(distinct)


def _look_like_codes(labels: Sequence[str], notation: Notation) -> bool:
    """Whether numbers in groups are all of one shape, as post codes are."""
    if notation.is_plain or notation.unit:
        return False
    shapes = {re.sub(r"\d", "0", label) for label in labels}
    return len(shapes) == 1 and not shapes.pop().strip("0" + _BLANKS) and len(labels[0]) > 1


def _refuse_two_ways(
    labels: Sequence[str], others: Sequence[str], notation: Notation, column: str, mark: str | None
) -> None:
    known = _notations(labels, mark)
    read = {label: next((n for n in known if n.read(label) is not None), None) for label in others}
    has_fractions = any(number != int(number) for number in map(PLAIN.read, labels) if number is not None)
    if not others or None in read.values() or len(labels) < 4 or not has_fractions:
        return
    one = others[0]
    other = read[one]
    assert other is not None
    raise DataError(
        f"column '{column}' holds numbers that are written in two ways, {example(labels, notation)} and "
        f"{example([one], other)}; write them alike, or give --problem single_label if they are names."
    )
