"""The spellings of tags in files, and the usual ones that they stand for: B-PER, I-PER, O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from datasets import Dataset

from nlp_transfer.data.row_store import slices, stored, values
from nlp_transfer.data.tag_schemes import TAG
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.system.invisible import forms_of_letters, odd_characters
from nlp_transfer.system.text import cut

NUMBER = re.compile(r"-?\d{1,9}")
"""A tag that is the number of one."""

_JOINT = r"[-_:./|\s\u2010-\u2015\u2212]"  # between prefix and type, dashes of all kinds among them
_BEFORE = re.compile(rf"([BIESLU]){_JOINT}(\S.*)", re.DOTALL | re.IGNORECASE)
_BEHIND = re.compile(rf"(?P<type>.*\S){_JOINT}([BIESLU])", re.DOTALL | re.IGNORECASE)
_GLUED = re.compile(r"([BIESLU])([A-Z]\w*)")
_TYPE = re.compile(r"[^\W\d_][\w&/. -]{0,58}")
_OUTSIDE = ("0", "none", "null", "nil", "out", "outside")  # what stands for O, where neither O nor o does
_SIGNS = ("_", "-")  # so do these, but beside prefixes alone: many columns of other things have them
_SETS = (set("BI"), set("BIES"), set("BILU"))  # the prefixes of the schemes
_MOST_TYPES = 100  # without a prefix; a column with more is one of words or lemmas
_NO_TYPE = "ENTITY"
_SHOWN = 4


class Spelling(NamedTuple):
    """What each tag of a file stands for; where they are types without a prefix (`joins`), a type or O.

    Words beside each other that have one type are then an entity.
    """

    tags: Mapping[str, str]
    joins: bool = False


def with_usual_tags(data: Dataset, source: str, names: Sequence[str] = ()) -> tuple[Dataset, tuple[str, ...]]:
    """Rows of words and tags with their tags spelt as usual, and a sentence on each thing that was changed or is odd.

    All tags of the file tell together how they are spelt: as numbers of `names`, with another sign behind the prefix,
    with the prefix behind the type, in lower case, or as types without one. What could be read in two ways stays as it
    is. DataError for numbers that have no name, OptionError for `names` where tags are no numbers.
    """
    counts: Counter[str] = Counter()
    for tags in values(data, "tags"):
        counts.update(tags)
    mapping = {tag: _plain(tag) for tag in counts}
    notes = _notes_on_blanks(counts)
    if signs := [tag for tag in counts if _SIGNS_BEHIND.match(tag.strip())]:
        notes.append(f"signs between prefix and type are left out, as in '{cut(signs[0], 40)}'")
    if names:
        mapping = _named(mapping, names, source)
        some = ", ".join(f"{number} {name}" for number, name in enumerate(names[:_SHOWN]))
        notes.append(f"its tags are numbers, read as --tag_names: {some}{' ...' * (len(names) > _SHOWN)}")
    spelling = spelling_of(mapping.values())
    if spelling:
        notes.append(_in_words(spelling))
        mapping = {tag: spelling.tags[plain] for tag, plain in mapping.items()}
    notes += _notes_on_unseen(mapping.values())
    told = tuple(f"{source}: {note}{'' if note.endswith(' ...') else '.'}" for note in notes)
    if not spelling and all(tag == plain for tag, plain in mapping.items()):
        return data, told
    joins = spelling is not None and spelling.joins

    def usual(tags: Sequence[str]) -> list[str]:
        plain = [mapping[tag] for tag in tags]
        return prefixed(plain) if joins else plain

    changed = (columns | {"tags": list(map(usual, columns["tags"]))} for columns in slices(data))
    return stored(changed, data.features), told


_SIGNS_BEHIND = re.compile(r"([BIESLU])-[-_\s]+(?=\S)")


def _plain(tag: str) -> str:
    """A tag without blanks at its ends, and with one sign between prefix and type; a number as a whole one."""
    tag = _SIGNS_BEHIND.sub(r"\1-", tag.strip())
    return tag.removesuffix(".0") if re.fullmatch(r"\d{1,9}\.0", tag) else tag


def spelling_of(tags: Iterable[str]) -> Spelling | None:
    """How the tags of a file are spelt; None where that is as usual, or where they could be read in two ways.

    >>> spelling_of(["O", "PER-B", "PER-I"]).tags
    {'O': 'O', 'PER-B': 'B-PER', 'PER-I': 'I-PER'}
    """
    there = list(dict.fromkeys(tags))
    if all(map(TAG.fullmatch, there)) or all(map(NUMBER.fullmatch, there)):
        return None
    outside = _outside(there)
    rest = [tag for tag in there if tag not in outside]
    by_prefix = [made for made in _readings(rest) if made is not None]
    if outside and outside[0] in _SIGNS and not (by_prefix and rest):
        return None
    are_types = not by_prefix and bool(outside) and _are_types(rest)
    if len(by_prefix) != 1 and not are_types:
        return None
    made = {tag: tag for tag in rest} if are_types else by_prefix[0]
    return Spelling({tag: made.get(tag, "O") for tag in there}, joins=are_types)


def prefixed(types: Sequence[str]) -> list[str]:
    """Tags of IOB2 for the type of each word, or O: words beside each other that have one type are one entity.

    >>> prefixed(["PER", "PER", "O", "LOC"])
    ['B-PER', 'I-PER', 'O', 'B-LOC']
    """
    pairs = zip(["O", *types], types, strict=False)
    return [kind if kind == "O" else f"{'I' if kind == before else 'B'}-{kind}" for before, kind in pairs]


def unreadable(tag: str, tags: Iterable[str]) -> str:
    """Why one of the `tags` of a file is none, and what would mend that, to complete "NAME: "."""
    there = list(dict.fromkeys(tags))
    numbers = [int(other) for other in there if NUMBER.fullmatch(other)]
    if -100 in numbers:
        return (
            "its tags hold -100, which marks pieces of words that are not scored; give words and tags as they were "
            "before tokenization."
        )
    if len(numbers) == len(there):
        return (
            f"its tags are numbers ({min(numbers)} to {max(numbers)}); say what they stand for, from 0 on: "
            "--tag_names O,B-PER,I-PER,..."
        )
    what = f"unknown tag scheme, '{tag}' is neither O nor a prefix with a type such as B-PER"
    if odd := odd_characters(tag) + forms_of_letters(tag):
        what += f" (it holds {', '.join(odd)})"
    usual = next((other for other in there if TAG.fullmatch(other) and other != "O"), None)
    if usual:
        what += f", as '{cut(usual, 40)}' is"
    outside = [other for other in there if other.lower() in (*_OUTSIDE, "other") or other in _SIGNS]
    if not {"O", "o"} & set(there):
        what += ", and none of the tags is O, which stands for no entity"
        what += f" (does '{outside[0]}' stand for it?)" if outside else ""
    return f"{what}; write the tags as IOB1, IOB2, BIOES or BILOU."


def _named(mapping: Mapping[str, str], names: Sequence[str], source: str) -> dict[str, str]:
    others = [tag for tag in mapping.values() if not NUMBER.fullmatch(tag)]
    if others and set(others) <= set(names):
        return dict(mapping)
    if others:
        raise OptionError(
            f"--tag_names is for tags that are numbers; {source} has '{cut(others[0], 40)}': leave the option out."
        )
    numbers = [int(tag) for tag in mapping.values()]
    if -100 in numbers:
        raise DataError(f"{source}: {unreadable('', mapping.values())}")
    if min(numbers) < 0 or max(numbers) >= len(names):
        raise DataError(
            f"{source}: its tags are numbers from {min(numbers)} to {max(numbers)}, and --tag_names names those from 0 "
            f"to {len(names) - 1}; give a name for each number."
        )
    return {tag: names[int(number)] for tag, number in mapping.items()}


def _outside(there: Sequence[str]) -> list[str]:
    """The tags that stand for O: O and o, else the only one that means as much."""
    letters = [tag for tag in there if tag in ("O", "o")]
    others = [tag for tag in there if tag.lower() in _OUTSIDE or tag in _SIGNS]
    return letters or (others if len(others) == 1 else [])


def _readings(rest: Sequence[str]) -> list[dict[str, str] | None]:
    """What the tags but O stand for, by each way to write a prefix; None where it is not that."""
    if all(map(TAG.fullmatch, rest)):
        return [{tag: tag for tag in rest}]
    before = [(match[1], match[2]) for match in map(_BEFORE.fullmatch, rest) if match]
    behind = [(match[2], match["type"]) for match in map(_BEHIND.fullmatch, rest) if match]
    glued = [(match[1], match[2]) for match in map(_GLUED.fullmatch, rest) if match]
    alone = [(tag, _NO_TYPE) for tag in rest if re.fullmatch("[BIESLUbieslu]", tag)]
    if {kind for prefix, kind in glued if prefix == "I"} - {kind for prefix, kind in glued if prefix == "B"}:
        glued = []
    if not any(prefix == "I" for prefix, _ in glued):  # BRAND and BODY are types
        glued = []
    return [
        {tag: f"{prefix.upper()}-{kind}" for tag, (prefix, kind) in zip(rest, pairs, strict=True)}
        if len(pairs) == len(rest) and _are_prefixes({prefix.upper() for prefix, _ in pairs})
        else None
        for pairs in (before, behind, glued, alone)
    ]


def _are_prefixes(prefixes: set[str]) -> bool:
    """Whether these are prefixes of one scheme, and not the first letters of e-mail and U-boot."""
    return bool(prefixes & set("BI")) and any(prefixes <= known for known in _SETS)


def _are_types(rest: Sequence[str]) -> bool:
    if not rest or len(rest) > _MOST_TYPES or not all(map(_TYPE.fullmatch, rest)):
        return False
    seem_prefixed = [tag for tag in rest if tag.upper() in ("B", "I") or _seems_prefixed(tag)]
    glued = {tag[1:] for tag in rest if tag[0] == "B"} & {tag[1:] for tag in rest if tag[0] == "I"} - {""}
    return not seem_prefixed and not glued


def _seems_prefixed(tag: str) -> bool:
    before, behind = _BEFORE.fullmatch(tag), _BEHIND.fullmatch(tag)
    return bool((before and before[1].upper() in "BI") or (behind and behind[2].upper() in "BI"))


def _in_words(spelling: Spelling) -> str:
    made = [prefixed([kind])[0] if spelling.joins else kind for kind in spelling.tags.values()]
    changed = [(tag, usual) for tag, usual in zip(spelling.tags, made, strict=True) if tag != usual]
    old, new = (", ".join(f"'{cut(tag, 40)}'" for tag in column[:_SHOWN]) for column in zip(*changed, strict=True))
    more = " ..." * (len(changed) > _SHOWN)
    joined = "; words beside each other that have one type are read as one entity" * spelling.joins
    return f"its tags are spelt {old}{more}, and read as {new}{more}{joined}"


def _notes_on_blanks(counts: Mapping[str, int]) -> list[str]:
    blank = [tag for tag in counts if tag != tag.strip()]
    if not blank:
        return []
    count = sum(counts[tag] for tag in blank)
    have = "tags have blanks at an end, which are" if count > 1 else "tag has a blank at an end, which is"
    return [f"{count:,} {have} left out: {_with_characters(blank)}"]


def _notes_on_unseen(tags: Iterable[str]) -> list[str]:
    unseen = [tag for tag in dict.fromkeys(tags) if odd_characters(tag)]
    if not unseen:
        return []
    hold = "tags hold characters" if len(unseen) > 1 else "tag holds a character"
    are = "they are of types of their own" if len(unseen) > 1 else "it is of a type of its own"
    return [f"{len(unseen)} {hold} that nobody sees, or can tell from others: {_with_characters(unseen)}; {are}"]


def _with_characters(tags: Sequence[str]) -> str:
    shown = ", ".join(f"'{cut(tag, 40)}' with {', '.join(odd_characters(tag))}" for tag in tags[:_SHOWN])
    return shown + " ..." * (len(tags) > _SHOWN)
