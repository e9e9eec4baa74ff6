"""Errors of a tagger: a wrong boundary, a wrong type, an entity missed, one invented."""

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
from nlp_transfer.run.report.slices import by_rarest_type, recall_by_group
from nlp_transfer.types import TagPrediction

KINDS = ("right", "boundary", "type", "boundary and type", "missed", "invented")
"""The result of the comparison of an entity; at least one end of a wrong boundary is wrong."""

_MOST_SENTENCES = 40  # that are shown with their entities
_MOST_WORDS = 80  # of a sentence that is shown


class Match(NamedTuple):
    """A true entity, a predicted one, or a pair of them, and the kind of error."""

    kind: str
    true: TypedSpan | None
    predicted: TypedSpan | None


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
    entities: Counter[tuple[str, str]] = Counter()
    for words, tags in rows_of(train, "words", "tags"):
        entities.update((kind, " ".join(words[start:end])) for kind, start, end in spans(tags, scheme))
    return entities


def _recall_by_familiarity(
    scored: ScoredRows, scheme: str, entities: Counter[tuple[str, str]]
) -> dict[str, Any] | None:
    """Recall of the entities that are in the training rows, that are there with another type only, or not at all."""
    forms = {form for _, form in entities}
    hits: list[list[bool]] = [[], [], []]
    for words, tags, p in zip(values(scored.rows, "words"), scored.references, scored.predictions, strict=True):
        for match in matched(spans(tags, scheme), spans(p.tags, scheme)):
            if match.true:
                kind, start, end = match.true
                form = " ".join(words[start:end])
                group = 0 if (kind, form) in entities else 1 if form in forms else 2
                hits[group].append(match.kind == "right")
    names = ["in train with this type", "in train with another type only", "not in train"]
    return recall_by_group("true entities", names, hits)


def entity_findings(
    head: TaskHead,
    predictions: Sequence[TagPrediction],
    references: Sequence[Sequence[str]],
    trained_on: Counter[str],
    raw_probabilities: Sequence[np.ndarray] = (),
) -> dict[str, Any]:
    """Errors by kind and type, confusions of types, calibration of entities, and sentences with entities marked.

    `raw_probabilities` are those of each sentence's tags without the head's temperature, if it has one.
    """
    options = head.options()
    scheme, types, temperature = options["scheme"], list(options["entity_types"]), options["temperature"]
    matches = [
        matched(spans(tags, scheme), spans(p.tags, scheme)) for p, tags in zip(predictions, references, strict=True)
    ]
    every = [match for row in matches for match in row]
    kinds = Counter((match.kind, _type(match.true or match.predicted)) for match in every)
    pairs = Counter((_type(match.true), _type(match.predicted)) for match in every)
    calibrated = [p.probabilities for p in predictions]
    probabilities, right = _entity_probabilities(calibrated, matches)
    return {
        "labels": types,
        "scheme": scheme,
        "kinds": [{"name": kind, "counts": {name: kinds[name, kind] for name in KINDS}} for kind in types],
        "confusion": [[true, predicted, count] for (true, predicted), count in pairs.most_common()],
        "by_label": [_of_type(kind, every) | {"train": trained_on[kind]} for kind in types],
        "temperature": temperature,
        "uncalibrated": _calibration(raw_probabilities or calibrated, matches),
        "calibrated": _calibration(calibrated, matches) if temperature else None,
        "coverage": coverage(probabilities, right) if len(probabilities) else None,
        "sentences": _sentences(predictions, matches),
    }


def matched(true: Sequence[TypedSpan], predicted: Sequence[TypedSpan]) -> list[Match]:
    """Each entity of a sentence once: paired first if they are equal, then by largest overlap; then the others.

    >>> [match.kind for match in matched([("PER", 0, 2)], [("PER", 0, 1)])]
    ['boundary']
    """
    left, right = list(true), list(predicted)
    matches = []
    overlaps = [(t, p) for t in left for p in right if t[1] < p[2] and p[1] < t[2]]
    overlaps.sort(key=lambda pair: _similarity(*pair), reverse=True)
    for t, p in overlaps:
        if t in left and p in right:
            left.remove(t)
            right.remove(p)
            matches.append(Match(_kind(t, p), t, p))
    matches += [Match("missed", t, None) for t in left] + [Match("invented", None, p) for p in right]
    return sorted(matches, key=lambda match: (match.true or match.predicted or ("", 0, 0))[1:])


def _similarity(true: TypedSpan, predicted: TypedSpan) -> tuple[bool, bool, int, bool]:
    common = min(true[2], predicted[2]) - max(true[1], predicted[1])
    return true == predicted, true[1:] == predicted[1:], common, true[0] == predicted[0]


def _kind(true: TypedSpan, predicted: TypedSpan) -> str:
    if true == predicted:
        return "right"
    if true[1:] == predicted[1:]:
        return "type"
    return "boundary" if true[0] == predicted[0] else "boundary and type"


def _type(span: TypedSpan | None) -> str:
    return span[0] if span else ""


def _of_type(kind: str, matches: Sequence[Match]) -> dict[str, Any]:
    right = sum(match.kind == "right" and match.true is not None and match.true[0] == kind for match in matches)
    predicted = sum(match.predicted is not None and match.predicted[0] == kind for match in matches)
    rows = sum(match.true is not None and match.true[0] == kind for match in matches)
    return of_label(kind, right, predicted, rows)


def _calibration(of_words: Sequence[Sequence[float] | np.ndarray], matches: Sequence[Sequence[Match]]) -> Any:
    """Calibration of the predicted entities; None where there are none."""
    probabilities, right = _entity_probabilities(of_words, matches)
    return calibration(probabilities, right, float(((probabilities - right) ** 2).mean())) if len(right) else None


def _entity_probabilities(
    of_words: Sequence[Sequence[float] | np.ndarray], matches: Sequence[Sequence[Match]]
) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each predicted entity, which is that of its least probable word, and whether it is right."""
    probabilities, right = [], []
    for words, row in zip(of_words, matches, strict=True):
        for match in row:
            if match.predicted:
                probabilities.append(min(words[match.predicted[1] : match.predicted[2]]))
                right.append(match.kind == "right")
    return np.array(probabilities, dtype=np.float64), np.array(right, dtype=np.float64)


def _sentences(predictions: Sequence[TagPrediction], matches: Sequence[Sequence[Match]]) -> list[dict[str, Any]]:
    """Sentences with errors as parts of text, those with the most confident wrong entities first."""

    def highest_wrong_score(row: int) -> float:
        wrong = [match.predicted for match in matches[row] if match.kind != "right" and match.predicted]
        return max((min(predictions[row].probabilities[p[1] : p[2]]) for p in wrong), default=0.0)

    wrong = [row for row, of_row in enumerate(matches) if any(match.kind != "right" for match in of_row)]
    wrong.sort(key=lambda row: (-highest_wrong_score(row), row))
    return [
        {"row": row, "parts": list(_parts(predictions[row].words, matches[row]))} for row in wrong[:_MOST_SENTENCES]
    ]


def _parts(words: Sequence[str], matches: Sequence[Match]) -> Iterator[dict[str, Any]]:
    """The words as plain text and groups of overlapping entities, in pieces inside of the same entities."""
    at = 0
    for group in _groups(matches):
        edges = [span for match in group for span in (match.true, match.predicted) if span]
        start, end = min(span[1] for span in edges), max(span[2] for span in edges)
        if start >= _MOST_WORDS:
            break
        if start > at:
            yield {"text": " ".join(words[at:start])}
        yield {"pieces": _pieces(words, start, end, group), "notes": [_note(match) for match in group]}
        at = end
    if at < len(words):
        rest = words[at : max(at, _MOST_WORDS)]
        yield {"text": " ".join([*rest, "…"] if len(rest) < len(words) - at else rest)}


def _groups(matches: Sequence[Match]) -> Iterator[list[Match]]:
    group: list[Match] = []
    reach = 0
    for match in matches:
        edges = [span for span in (match.true, match.predicted) if span]
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
    before: tuple[list[TypedSpan | None], list[TypedSpan | None]] | None = None
    for word in range(start, end):
        true = [match.true for match in group if _contains(match.true, word)]
        predicted = [match.predicted for match in group if _contains(match.predicted, word)]
        if before == (true, predicted):
            pieces[-1]["text"] += f" {words[word]}"
        else:
            pieces.append({"text": words[word], "true": bool(true), "said": bool(predicted)})
        before = true, predicted
    return pieces


def _contains(span: TypedSpan | None, word: int) -> bool:
    return span is not None and span[1] <= word < span[2]


def _note(match: Match) -> dict[str, Any]:
    return {
        "kind": match.kind,
        "true": match.true[0] if match.true else None,
        "said": match.predicted[0] if match.predicted else None,
    }


register_report_part("entities", entity_part)
