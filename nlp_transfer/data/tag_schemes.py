"""Tag schemes: the spellings of entities as tags of words.

IOB1 and IOB2 are described by Ramshaw and Marcus (1995, "Text chunking using transformation-based learning") and
Tjong Kim Sang and Veenstra (1999, "Representing text chunks"), BILOU by Ratinov and Roth (2009, "Design challenges
and misconceptions in named entity recognition"). BIOES is BILOU with E (end) for L (last) and S (single) for U (unit).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from nlp_transfer.errors import DataError, OptionError

SCHEMES = ("IOB1", "IOB2", "BIOES", "BILOU")

TAG = re.compile("O|[BIESLU]-.+", re.DOTALL)
"""A tag of one of the schemes."""

TypedSpan = tuple[str, int, int]
"""An entity: its type, its first word, one past its last word."""


class Transitions(NamedTuple):
    """Which labels may begin a sentence, which may end it, and which may follow which: `move[before][after]`."""

    start: list[bool]
    end: list[bool]
    move: list[list[bool]]


@dataclass(frozen=True)
class Recognised:
    """The scheme that data are written in, how well they follow it, and a sentence for the log on why.

    `violations` counts tags that do not fit the scheme.
    """

    scheme: str
    violations: int
    reason: str


class _Spelling(NamedTuple):
    """The prefixes of an entity's words: of an only word, or of the first, the inner and the last of several."""

    single: str
    first: str
    inside: str
    last: str


_SPELLINGS = {
    "IOB1": _Spelling("I", "I", "I", "I"),
    "IOB2": _Spelling("B", "B", "I", "I"),
    "BIOES": _Spelling("S", "B", "I", "E"),
    "BILOU": _Spelling("U", "B", "I", "L"),
}
_PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU"}
_ALWAYS_FIRST = frozenset("BSU")
_ALWAYS_LAST = frozenset("ESLU")


def scheme_named(name: str) -> str:
    """The scheme that a user calls `name`, in any case; IOBES is another name of BIOES. OptionError if unknown.

    >>> scheme_named("iobes")
    'BIOES'
    """
    scheme = "BIOES" if name.upper() == "IOBES" else name.upper()
    if scheme not in SCHEMES:
        raise OptionError(f"unknown tag scheme {name!r}; the known ones are {', '.join(SCHEMES)} (or IOBES for BIOES)")
    return scheme


def _numbered(number: int) -> str:
    return f"sentence {number} (the first is 0)"


def recognise(sequences: Iterable[Sequence[str]], place: Callable[[int], str] = _numbered) -> Recognised:
    """The scheme that tagged sentences are written in.

    E- or S- makes it BIOES, L- or U- BILOU. Otherwise it is IOB1 or IOB2, whichever fewer tags violate; a tie, which
    includes data with no entity, is IOB2. DataError on a tag of no known scheme, and on E-/S- together with L-/U-;
    `place` names a sentence by its number in that message. Sequences that can be iterated again are not copied.

    >>> recognise([["B-PER", "I-PER", "O"]]).reason
    'entities begin with B- (1) and never with I-: IOB2'
    """
    sequences = list(sequences) if isinstance(sequences, Iterator) else sequences
    judged = [_judge(sequences, scheme) for scheme in _candidates(sequences, place)]
    return min(judged, key=lambda recognised: recognised.violations)


def spans(sequence: Sequence[str], scheme: str) -> list[TypedSpan]:
    """The entities that a sentence's tags spell, in order, none overlapping.

    Tags that break the scheme's rules are read as conlleval reads them (Tjong Kim Sang and Buchholz, 2000): one that
    cannot continue an entity begins one, so every word not tagged O is in a span. DataError on a tag whose prefix the
    scheme does not have.

    >>> spans(["B-PER", "I-PER", "O", "I-LOC"], "IOB2")
    [('PER', 0, 2), ('LOC', 3, 4)]
    """
    entities: list[TypedSpan] = []
    before = _OUTSIDE
    for word, tag in enumerate(sequence):
        here = _split(tag, scheme)
        if _continues(before, here):
            kind, first, _ = entities.pop()
            entities.append((kind, first, word + 1))
        elif here != _OUTSIDE:
            entities.append((here.type, word, word + 1))
        before = here
    return entities


def tags(entities: Iterable[TypedSpan], length: int, scheme: str) -> list[str]:
    """The tags that spell `entities`, given in any order, in a sentence of `length` words: the inverse of `spans`.

    ValueError if entities overlap, are empty or do not lie within the sentence.

    >>> tags([("PER", 0, 2)], 3, "BIOES")
    ['B-PER', 'E-PER', 'O']
    """
    spelt = ["O"] * length
    last_type, last_end = "", 0
    for kind, first, end in sorted(entities, key=lambda entity: entity[1]):
        if not 0 <= first < end <= length:
            raise ValueError(f"entity {kind} at words {first} to {end} is not within a sentence of {length} words")
        if first < last_end:
            raise ValueError(
                f"entity {kind} at words {first} to {end} overlaps the one before, which ends at {last_end}"
            )
        touching = kind == last_type and first == last_end
        spelt[first:end] = [f"{prefix}-{kind}" for prefix in _prefixes(_spelling(scheme, touching), end - first)]
        last_type, last_end = kind, end
    return spelt


def violations(sequence: Sequence[str], scheme: str) -> list[int]:
    """The words whose tags do not fit the scheme: those that would be written otherwise to spell the same entities.

    >>> violations(["O", "I-PER", "I-PER"], "IOB2")
    [1]
    """
    due = convert(sequence, scheme, scheme)
    return [word for word, tag in enumerate(sequence) if tag != due[word]]


def convert(sequence: Sequence[str], source: str, target: str) -> list[str]:
    """The same entities spelt in another scheme; with one scheme twice, tags that violate it are mended.

    >>> convert(["I-PER", "I-PER", "B-PER"], "IOB1", "BILOU")
    ['B-PER', 'L-PER', 'U-PER']
    """
    return tags(spans(sequence, source), len(sequence), target)


def tag_names(entity_types: Iterable[str], scheme: str) -> list[str]:
    """The label names of a network that tags these types: O, then for each type the scheme's prefixes.

    >>> tag_names(["PER", "LOC"], "IOB2")
    ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC']
    """
    return ["O", *(f"{prefix}-{kind}" for kind in entity_types for prefix in _PREFIXES[scheme])]


def allowed(scheme: str, names: Iterable[str]) -> Transitions:
    """The transitions between labels that make up exactly the sequences valid in the scheme: those without violations.

    >>> start, end, move = allowed("IOB2", ["O", "B-PER", "I-PER"])
    >>> start
    [True, True, False]
    """
    labels = [_split(name, scheme) for name in names]
    return Transitions(
        start=[_may_begin(scheme, _OUTSIDE, label) for label in labels],
        end=[_may_end(scheme, label) for label in labels],
        move=[[_may_follow(scheme, before, after) for after in labels] for before in labels],
    )


class _Tag(NamedTuple):
    prefix: str
    type: str


_OUTSIDE = _Tag("O", "")


@lru_cache(maxsize=4096)  # data have few tags, and many of each
def _split(tag: str, scheme: str) -> _Tag:
    if tag == "O":
        return _OUTSIDE
    prefix, _, kind = tag.partition("-")
    if not kind or len(prefix) != 1 or prefix not in _PREFIXES[scheme]:
        known = ", ".join(f"{letter}-<type>" for letter in _PREFIXES[scheme])
        raise DataError(f"{tag!r} is not a tag of {scheme}, whose tags are O, {known}")
    return _Tag(prefix, kind)


def _continues(before: _Tag, after: _Tag) -> bool:
    if after == _OUTSIDE or before.type != after.type:
        return False
    return before.prefix not in _ALWAYS_LAST and after.prefix not in _ALWAYS_FIRST


def _may_follow(scheme: str, before: _Tag, after: _Tag) -> bool:
    return _continues(before, after) or (_may_end(scheme, before) and _may_begin(scheme, before, after))


def _may_begin(scheme: str, before: _Tag, after: _Tag) -> bool:
    spelling = _spelling(scheme, touching=before.type == after.type)
    return after == _OUTSIDE or after.prefix in (spelling.single, spelling.first)


def _may_end(scheme: str, label: _Tag) -> bool:
    spelling = _spelling(scheme, touching=True)
    return label == _OUTSIDE or label.prefix in (spelling.single, spelling.last)


def _spelling(scheme: str, touching: bool) -> _Spelling:
    # IOB1 needs its B- only where an entity touches one of its own type before it, and then writes what IOB2 writes.
    return _SPELLINGS["IOB2" if scheme == "IOB1" and touching else scheme]


def _prefixes(spelling: _Spelling, length: int) -> list[str]:
    if length == 1:
        return [spelling.single]
    return [spelling.first, *[spelling.inside] * (length - 2), spelling.last]


def _candidates(sequences: Iterable[Sequence[str]], place: Callable[[int], str]) -> tuple[str, ...]:
    """The schemes that have all prefixes of the tags, the preferred one first."""
    first_in: dict[str, int] = {}
    for number, sequence in enumerate(sequences):
        for tag in sequence:
            first_in.setdefault(tag, number)
    examples: dict[str, str] = {}
    for tag, number in first_in.items():
        if tag == "O":
            continue
        schemes = [scheme for scheme in SCHEMES if _has(scheme, tag)]
        if not schemes:
            raise DataError(
                f"unknown tag scheme: {tag!r} in {place(number)} is a tag of none of "
                f"{', '.join(SCHEMES)}; write O or <prefix>-<type>, such as B-PER"
            )
        if len(schemes) == 1:
            examples.setdefault(schemes[0], f"{tag!r} in {place(number)}")
    if len(examples) > 1:
        mixed = " and ".join(f"{example} is {scheme}" for scheme, example in examples.items())
        raise DataError(f"unknown tag scheme: {mixed}; write all tags as one of {', '.join(SCHEMES)}")
    return tuple(examples) or ("IOB2", "IOB1")


def _has(scheme: str, tag: str) -> bool:
    try:
        _split(tag, scheme)
    except DataError:
        return False
    return True


def _judge(sequences: Iterable[Sequence[str]], scheme: str) -> Recognised:
    count = 0
    begins: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for sequence in sequences:
        entities = spans(sequence, scheme)
        begins.update(sequence[first][0] for _, first, _ in entities)
        ends.update(sequence[end - 1][0] for _, _, end in entities)
        count += len(violations(sequence, scheme))
    reason = f"{_why(scheme, count, begins, ends)}: {scheme}"
    if count:
        reason += f", but {count:,} {'tag does' if count == 1 else 'tags do'} not fit"
    return Recognised(scheme, count, reason)


def _why(scheme: str, count: int, begins: Counter[str], ends: Counter[str]) -> str:
    if not begins:
        return "there is no entity"
    if scheme in ("BIOES", "BILOU"):
        last, single = _SPELLINGS[scheme].last, _SPELLINGS[scheme].single
        return f"entities end with {last}- ({ends[last]:,}) or are one word with {single}- ({ends[single]:,})"
    if begins["B"] and begins["I"]:
        after = "" if count else " right after another of their type"
        return f"entities begin with I- ({begins['I']:,}) and with B- ({begins['B']:,}){after}"
    usual, other = ("B", "I") if begins["B"] else ("I", "B")
    return f"entities begin with {usual}- ({begins[usual]:,}) and never with {other}-"
