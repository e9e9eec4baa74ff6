"""Errors of a tagger: a wrong end, a wrong type, an entity missed, one invented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.tag_schemes import TypedSpan, spans
from nlp_transfer.heads import TaskHead
from nlp_transfer.run.report.confidence import calibration, coverage
from nlp_transfer.run.report.label_errors import of_label
from nlp_transfer.run.report.report_parts import ReportPart, ScoredRows, register_report_part
from nlp_transfer.run.report.slices import by_rarest_type, recalled
from nlp_transfer.types import TagPrediction

KINDS = ("right", "boundary", "type", "boundary and type", "missed", "invented")
"""What became of an entity. A boundary is wrong where one of its ends is."""

_SENTENCES = 40  # that are shown with their entities
_WORDS = 80  # of a sentence that is shown


class Match(NamedTuple):
    """An entity that is there, or was said to be, or both, and what is to be said of it."""

    kind: str
    true: TypedSpan | None
    said: TypedSpan | None


def entity_part(scored: ScoredRows) -> ReportPart:
    """The part of a report on entities: errors by kind and type, calibration, sentences with entities marked."""
    head = scored.head
    scheme = head.options()["scheme"]
    entities = _entities(scored.train, scheme)
    types = Counter(kind for kind, _ in entities.elements())
    findings = entity_findings(head, scored.predictions, scored.references, types, scored.raw_probabilities)
    kinds = [[kind for kind, *_ in spans(tags, scheme)] for tags in scored.references]
    familiar = _recall_by_familiarity(scored, scheme, entities)
    return ReportPart(findings, [by_rarest_type(kinds, types)], [familiar] if familiar else [])


def _entities(train: Dataset, scheme: str) -> Counter[tuple[str, str]]:
    """The entities of the training rows, as type and words."""
    found: Counter[tuple[str, str]] = Counter()
    for words, tags in rows_of(train, "words", "tags"):
        found.update((kind, " ".join(words[start:end])) for kind, start, end in spans(tags, scheme))
    return found


def _recall_by_familiarity(
    scored: ScoredRows, scheme: str, entities: Counter[tuple[str, str]]
) -> dict[str, Any] | None:
    """What share is found of the entities that the training rows hold too, of another type, or not at all."""
    forms = {form for _, form in entities}
    found: list[list[bool]] = [[], [], []]
    for words, tags, p in zip(values(scored.rows, "words"), scored.references, scored.predictions, strict=True):
        for match in matched(spans(tags, scheme), spans(p.tags, scheme)):
            if match.true:
                kind, start, end = match.true
                form = " ".join(words[start:end])
                place = 0 if (kind, form) in entities else 1 if form in forms else 2
                found[place].append(match.kind == "right")
    names = ["in train with this type", "in train with another type only", "not in train"]
    return recalled("true entities", names, found)


def entity_findings(
    head: TaskHead,
    predictions: Sequence[TagPrediction],
    references: Sequence[Sequence[str]],
    trained_on: Counter[str],
    raw_probabilities: Sequence[np.ndarray] = (),
) -> dict[str, Any]:
    """Errors by kind and type, confusions of types, calibration of entities, and sentences with entities marked.

    `raw_probabilities` are those of each sentence's tags without the head's temperature, where it has one.
    """
    options = head.options()
    scheme, types, temperature = options["scheme"], list(options["entity_types"]), options["temperature"]
    matches = [
        matched(spans(tags, scheme), spans(p.tags, scheme)) for p, tags in zip(predictions, references, strict=True)
    ]
    every = [match for row in matches for match in row]
    kinds = Counter((match.kind, (match.true or match.said or ("",))[0]) for match in every)
    pairs = Counter((match.true[0] if match.true else "", match.said[0] if match.said else "") for match in every)
    after = [p.probabilities for p in predictions]
    said, right = _sureness(after, matches)
    return {
        "labels": types,
        "scheme": scheme,
        "kinds": [{"name": kind, "counts": {name: kinds[name, kind] for name in KINDS}} for kind in types],
        "confusion": [[true, predicted, count] for (true, predicted), count in pairs.most_common()],
        "by_label": [_of_type(kind, every) | {"train": trained_on[kind]} for kind in types],
        "temperature": temperature,
        "uncalibrated": _trust(raw_probabilities or after, matches),
        "calibrated": _trust(after, matches) if temperature else None,
        "coverage": coverage(said, right) if len(said) else None,
        "sentences": _sentences(predictions, matches),
    }


def matched(true: Sequence[TypedSpan], said: Sequence[TypedSpan]) -> list[Match]:
    """Each entity of a sentence once: first those that are the same, then those that overlap most, then the others.

    >>> [match.kind for match in matched([("PER", 0, 2)], [("PER", 0, 1)])]
    ['boundary']
    """
    left, right = list(true), list(said)
    found = []
    overlaps = [(t, s) for t in left for s in right if t[1] < s[2] and s[1] < t[2]]
    overlaps.sort(key=lambda pair: _nearness(*pair), reverse=True)
    for t, s in overlaps:
        if t in left and s in right:
            left.remove(t)
            right.remove(s)
            found.append(Match(_kind(t, s), t, s))
    found += [Match("missed", t, None) for t in left] + [Match("invented", None, s) for s in right]
    return sorted(found, key=lambda match: (match.true or match.said or ("", 0, 0))[1:])


def _nearness(true: TypedSpan, said: TypedSpan) -> tuple[bool, bool, int, bool]:
    common = min(true[2], said[2]) - max(true[1], said[1])
    return true == said, true[1:] == said[1:], common, true[0] == said[0]


def _kind(true: TypedSpan, said: TypedSpan) -> str:
    if true == said:
        return "right"
    if true[1:] == said[1:]:
        return "type"
    return "boundary" if true[0] == said[0] else "boundary and type"


def _of_type(kind: str, matches: Sequence[Match]) -> dict[str, Any]:
    right = sum(match.kind == "right" and match.true is not None and match.true[0] == kind for match in matches)
    predicted = sum(match.said is not None and match.said[0] == kind for match in matches)
    rows = sum(match.true is not None and match.true[0] == kind for match in matches)
    return of_label(kind, right, predicted, rows)


def _trust(probabilities: Sequence[Sequence[float] | np.ndarray], matches: Sequence[Sequence[Match]]) -> Any:
    """Calibration of the entities that were said; None where there are none."""
    said, right = _sureness(probabilities, matches)
    return calibration(said, right, float(((said - right) ** 2).mean())) if len(said) else None


def _sureness(
    probabilities: Sequence[Sequence[float] | np.ndarray], matches: Sequence[Sequence[Match]]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each entity that was said, the probability of its least sure word, and whether it is right."""
    said, right = [], []
    for words, row in zip(probabilities, matches, strict=True):
        for match in row:
            if match.said:
                said.append(min(words[match.said[1] : match.said[2]]))
                right.append(match.kind == "right")
    return np.array(said, dtype=np.float64), np.array(right, dtype=np.float64)


def _sentences(predictions: Sequence[TagPrediction], matches: Sequence[Sequence[Match]]) -> list[dict[str, Any]]:
    """Sentences with errors, those first in which the model was surest of something wrong, as parts of text."""

    def surest(row: int) -> float:
        wrong = [match.said for match in matches[row] if match.kind != "right" and match.said]
        return max((min(predictions[row].probabilities[s[1] : s[2]]) for s in wrong), default=0.0)

    wrong = [row for row, found in enumerate(matches) if any(match.kind != "right" for match in found)]
    wrong.sort(key=lambda row: (-surest(row), row))
    return [{"row": row, "parts": list(_parts(predictions[row].words, matches[row]))} for row in wrong[:_SENTENCES]]


def _parts(words: Sequence[str], matches: Sequence[Match]) -> Iterator[dict[str, Any]]:
    """The words as plain text and groups of overlapping entities, each word said to be inside of what."""
    at = 0
    for group in _groups(matches):
        edges = [span for match in group for span in (match.true, match.said) if span]
        start, end = min(span[1] for span in edges), max(span[2] for span in edges)
        if start >= _WORDS:
            break
        if start > at:
            yield {"text": " ".join(words[at:start])}
        yield {"pieces": _pieces(words, start, end, group), "notes": [_note(match) for match in group]}
        at = end
    if at < len(words):
        rest = words[at : max(at, _WORDS)]
        yield {"text": " ".join([*rest, "…"] if len(rest) < len(words) - at else rest)}


def _groups(matches: Sequence[Match]) -> Iterator[list[Match]]:
    group: list[Match] = []
    reach = 0
    for match in matches:
        edges = [span for span in (match.true, match.said) if span]
        if group and min(span[1] for span in edges) >= reach:
            yield group
            group = []
        group.append(match)
        reach = max(reach, *(span[2] for span in edges))
    if group:
        yield group


def _pieces(words: Sequence[str], start: int, end: int, group: Sequence[Match]) -> list[dict[str, Any]]:
    """Words that are inside of the same entities, as one text each."""
    pieces: list[dict[str, Any]] = []
    before: tuple[list[TypedSpan], list[TypedSpan]] | None = None
    for word in range(start, end):
        true = [match.true for match in group if match.true and match.true[1] <= word < match.true[2]]
        said = [match.said for match in group if match.said and match.said[1] <= word < match.said[2]]
        if before == (true, said):
            pieces[-1]["text"] += f" {words[word]}"
        else:
            pieces.append({"text": words[word], "true": bool(true), "said": bool(said)})
        before = true, said
    return pieces


def _note(match: Match) -> dict[str, Any]:
    return {
        "kind": match.kind,
        "true": match.true[0] if match.true else None,
        "said": match.said[0] if match.said else None,
    }


register_report_part("entities", entity_part)
