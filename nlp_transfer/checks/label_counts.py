"""Label counts, rare labels, and labels that look alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from nlp_transfer.checks.checked_rows import Part
from nlp_transfer.checks.finding import Finding, Place, quoted, rows_in_words
from nlp_transfer.data.alike_labels import alike_names, in_words, odd_in

Counts = Mapping[str, Mapping[str, int]]
"""Split -> label -> how often; of tags, the entity types."""

_FEW = 8  # rows of a label from which little can be learned, and of which three parts cannot be held out
_UNEVEN = 10  # times that the most frequent label is as frequent as the rarest


def count_labels(parts: Sequence[Part]) -> dict[str, dict[str, int]]:
    """How often each label occurs in each split, the most frequent in train first; of tags, entities of each type."""
    counts = {part.name: _counted(part) for part in parts}
    total: Counter[str] = sum(counts.values(), Counter())
    ranked = sorted(total, key=lambda label: (-counts["train"][label], -total[label], label))
    return {name: {label: of_split[label] for label in ranked} for name, of_split in counts.items()}


def _counted(part: Part) -> Counter[str]:
    if not part.is_tagged:
        return Counter(label for labels in part.labels() for label in labels)
    entities: Counter[str] = Counter()
    for tags in part.labels():
        before = "O"
        for tag in tags:
            begins = tag[0] in "BSU" or tag[2:] != before[2:] or before[0] in "ELSU"
            entities[tag[2:]] += tag != "O" and begins
            before = tag
    del entities[""]
    return entities


def label_findings(parts: Sequence[Part], counts: Counts) -> Iterator[Finding]:
    """Labels that look alike, labels that are rare, and labels that are unevenly frequent."""
    kind = "entity type" if parts[0].is_tagged else "label"
    if parts[0].has_scores:
        return
    yield from alike(parts, counts, kind)
    yield from rare(parts, counts["train"], kind)


def alike(parts: Sequence[Part], counts: Counts, kind: str = "label") -> Iterator[Finding]:
    """Labels that differ by case, white space, unicode form or what nobody sees alone, and such as hold the latter."""
    for names in alike_names(counts["train"]):
        usual, *others = names
        times = ", ".join(f"'{name}' ({sum(split[name] for split in counts.values()):,})" for name in names)
        yield Finding(
            "warning",
            "labels_alike",
            f"The {kind}s {times} differ only by case, space or unicode form, and count as different ones"
            f"{in_words(odd_in(names, forms=True))}.",
            f"Write {quoted(others)} as '{usual}', if they mean the same.",
            tuple(_places(parts, set(others))),
        )
    odd = odd_in(counts["train"])
    if odd:
        yield Finding(
            "warning",
            "odd_label",
            f"{len(odd):,} {kind}{'s have' if len(odd) > 1 else ' has'} characters that nobody sees{in_words(odd)}.",
            "Write them without these, or predictions will be compared with names that nobody can type.",
            tuple(_places(parts, set(odd))),
        )


def rare(parts: Sequence[Part], train: Mapping[str, int], kind: str = "label") -> Iterator[Finding]:
    """Labels of few rows, and an uneven frequency of labels."""
    few = {label for label, count in train.items() if 0 < count < _FEW}
    if few:
        listed = ", ".join(f"'{label}' ({train[label]})" for label in sorted(few, key=lambda name: train[name])[:5])
        yield Finding(
            "warning",
            "rare_label",
            f"{len(few):,} {kind}{'s' * (len(few) > 1)} of {len(train):,} {'have' if len(few) > 1 else 'has'} fewer "
            f"than {_FEW} {'entities' if kind != 'label' else 'rows'} in train: {listed}"
            f"{' ...' if len(few) > 5 else '.'}",
            "Add rows of them, join them with another, or take them out.",
            tuple(_places(parts[:1], few)),
        )
    present = {label: count for label, count in train.items() if count}
    if len(present) < 2:
        return
    most, least = max(present, key=lambda name: present[name]), min(present, key=lambda name: present[name])
    times = present[most] / present[least]
    if times >= _UNEVEN:
        yield Finding(
            "note",
            "imbalance",
            f"'{most}' is {times:,.0f} times as frequent in train as '{least}' ({present[most]:,} and "
            f"{present[least]:,}); a model that never predicts '{least}' may still have a high accuracy.",
            "Judge by macro-F1 rather than by accuracy, weight the classes, or add rows of rare ones.",
        )


def _places(parts: Sequence[Part], names: set[str]) -> Iterator[Place]:
    for part in parts:
        for index, labels in enumerate(part.labels()):
            if any((tag[2:] if part.is_tagged else tag) in names for tag in labels):
                yield part.place(index)


def scores_in_words(counts: Mapping[str, int]) -> str:
    """The range and the number of scores."""
    numbers = [float(label) for label in counts]
    lie = f"from {min(numbers):g} to {max(numbers):g}"
    return f"{len(numbers):,} different ones {lie}, {rows_in_words(sum(counts.values()))}"
