"""Tags that violate their scheme, odd entities, and names with several types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from nlp_transfer.checks.checked_rows import Part
from nlp_transfer.checks.finding import Example, Finding, Place, share, some
from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.tag_schemes import TypedSpan, recognise, spans, violations
from nlp_transfer.errors import DataError
from nlp_transfer.system.invisible import odd_characters

_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"  # what str.strip leaves, and no reader sees
_SURE = 2  # times that a name must have a type for it to count beside another


def tag_findings(parts: Sequence[Part]) -> Iterator[Finding]:
    """Unseen characters in tags, impossible sequences, entities with blanks at their ends, and names with two types."""
    for part in parts:
        yield from unseen_characters(part)
    try:
        scheme = recognise(list(values(parts[0].rows.data, "tags"))).scheme
        for part in parts:
            yield from impossible(part, scheme)
            yield from blank_ends(part, scheme)
        yield from several_types(parts, scheme)
    except DataError as error:  # a tag of another scheme, which a run would stop at
        yield Finding("error", "tag_scheme", f"{error}.", "Write all tags in one scheme.")


def unseen_characters(part: Part) -> Iterator[Finding]:
    """Sentences with a tag that holds characters which nobody sees, or can tell from others."""
    rows: list[int] = []
    odd: dict[str, str] = {}
    for index, tags in enumerate(values(part.rows.data, "tags")):
        found = {tag: ", ".join(odd_characters(tag)) for tag in set(tags) if tag not in odd and not tag.isascii()}
        odd |= {tag: characters for tag, characters in found.items() if characters}
        if not odd.keys().isdisjoint(tags):
            rows.append(index)
    if rows:
        listed = "; ".join(f"'{tag}' has {characters}" for tag, characters in list(odd.items())[:5])
        yield Finding(
            "warning",
            "tag_characters",
            f"{share(len(rows), len(part))} {part.name} sentences have tags with characters that nobody sees, or can "
            f"tell from others: {listed}{' ...' * (len(odd) > 5)}.",
            "Take them out: such tags are of types of their own.",
            tuple(map(part.place, rows)),
            some(part.example(index) for index in rows),
        )


def impossible(part: Part, scheme: str) -> Iterator[Finding]:
    """Sentences whose tags the scheme does not allow, such as an I- that nothing begins."""
    rows: list[int] = []
    examples: list[Example] = []
    count = 0
    for index, (words, tags) in enumerate(rows_of(part.rows.data, "words", "tags")):
        if wrong := violations(tags, scheme):
            rows.append(index)
            count += len(wrong)
            examples.append(part.example(index, _marked(words, tags, wrong))) if len(examples) < 5 else None
    if rows:
        yield Finding(
            "warning",
            "impossible_tags",
            f"{count:,} tag{'s' * (count > 1)} in {share(len(rows), len(part))} {part.name} sentences "
            f"{'are' if count > 1 else 'is'} invalid in {scheme}, and read as the beginning of an entity.",
            "Correct them: an entity may have lost its first word, or two types may have been mixed in one.",
            tuple(map(part.place, rows)),
            some(examples),
        )


def blank_ends(part: Part, scheme: str) -> Iterator[Finding]:
    """Sentences with an entity whose first or last word begins or ends with white space or is invisible."""
    notes: dict[int, str] = {}
    for index, (words, tags) in enumerate(rows_of(part.rows.data, "words", "tags")):
        for kind, first, end in spans(tags, scheme):
            surface = "\n".join(words[first:end])
            if surface != surface.strip().strip(_INVISIBLE).strip():
                notes.setdefault(index, f"{kind}: {surface!a}")
    if notes:
        yield Finding(
            "warning",
            "blank_ends",
            f"{share(len(notes), len(part))} {part.name} sentences have an entity with white space at an end.",
            "Take the white space, or the blank words, out of the entities.",
            tuple(map(part.place, notes)),
            some(part.example(index, note) for index, note in notes.items()),
        )


def several_types(parts: Sequence[Part], scheme: str) -> Iterator[Finding]:
    """Names with several types, the least clear first."""
    types: dict[str, Counter[str]] = {}
    at: dict[tuple[str, str], list[tuple[Part, int]]] = {}
    for part in parts:
        for index, (words, tags) in enumerate(rows_of(part.rows.data, "words", "tags")):
            for kind, first, end in spans(tags, scheme):
                name = " ".join(words[first:end]).casefold()
                types.setdefault(name, Counter())[kind] += 1
                at.setdefault((name, kind), []).append((part, index))
    torn = {name: counts for name, counts in types.items() if len(counts) > 1 and max(counts.values()) >= _SURE}
    if not torn:
        return
    ranked = sorted(torn, key=lambda name: (-(torn[name].total() - max(torn[name].values())), name))
    rare = [(name, kind) for name in ranked for kind, _ in torn[name].most_common()[1:]]
    yield Finding(
        "note",
        "several_types",
        f"{len(torn):,} name{'s' * (len(torn) > 1)} {'have' if len(torn) > 1 else 'has'} several types: "
        + ", ".join(f"'{name}' ({_listed(torn[name])})" for name in ranked[:5])
        + (" ..." if len(torn) > 5 else "."),
        "Look at the rarer type of each: names can be of two kinds, and can have been tagged wrongly.",
        tuple(_places(at[key] for key in rare)),
        some(part.example(index, f"{name}: {kind}") for name, kind in rare for part, index in at[name, kind][:1]),
    )


def named(words: Sequence[str], entities: Sequence[TypedSpan]) -> list[str]:
    """Entities in words: "Anna Berg (PER)"."""
    return [f"{' '.join(words[first:end])} ({kind})" for kind, first, end in entities]


def _places(groups: Iterator[list[tuple[Part, int]]]) -> Iterator[Place]:
    yield from dict.fromkeys(part.place(index) for rows in groups for part, index in rows)


def _marked(words: Sequence[str], tags: Sequence[str], wrong: Sequence[int]) -> str:
    parts = []
    for word in wrong[:3]:
        before = f"after {tags[word - 1]}" if word else "at the beginning"
        parts.append(f"'{words[word]}' is {tags[word]} {before}")
    return "; ".join(parts)


def _listed(types: Counter[str]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in types.most_common())
