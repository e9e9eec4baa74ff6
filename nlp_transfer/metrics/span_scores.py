"""Scores of predicted entity spans, read strictly and leniently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nlp_transfer.data import tag_schemes
from nlp_transfer.data.tag_schemes import SCHEMES, TypedSpan
from nlp_transfer.metrics.paired_rows import check_lengths
from nlp_transfer.types import Scores


def span_scores(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str) -> Scores:
    """Precision, recall and F1 of the entity spans that tags spell, read strictly and leniently.

    A span is right where its type and both its ends are. Strict: only what is well formed in `scheme` is a span.
    Lenient: also what looks like one, such as an I- tag that opens a span, as conlleval reads it (Tjong Kim Sang and
    De Meulder 2003). Both give the numbers of seqeval. Plain names are micro averages; macro means run over the types
    that occur on either side; `per_type` is strict, `per_type_lenient` is not. A score with nothing to divide by is
    0.0, also where neither side holds a span. Raises ValueError if lengths differ, `scheme` is not one of `SCHEMES`, or
    a tag does not belong to it.

    >>> span_scores([["I-PER", "O"]], [["B-PER", "O"]], scheme="IOB2")["f1_lenient"]
    1.0
    """
    _check_tags(predictions, references, scheme)
    scores: Scores = {}
    per_type = {}
    for reading in ("strict", "lenient"):
        predicted, expected = (spans_of(side, scheme, reading == "strict") for side in (predictions, references))
        types, counts = _counts_by_type(predicted, expected)
        micro, by_type = _measures(counts.sum(axis=0, keepdims=True)), _measures(counts)
        macro = {name: float(values.mean()) if types else 0.0 for name, values in by_type.items()}
        scores |= {f"{name}_{reading}": float(values[0]) for name, values in micro.items()}
        scores |= {f"macro_{name}_{reading}": value for name, value in macro.items()}
        per_type[reading] = {
            kind: {name: float(values[row]) for name, values in by_type.items()} | {"support": int(counts[row, 2])}
            for row, kind in enumerate(types)
        }
    return {**scores, "per_type": per_type["strict"], "per_type_lenient": per_type["lenient"], "scheme": scheme}


def spans_of(sentences: Sequence[Sequence[str]], scheme: str, strict: bool) -> list[set[TypedSpan]]:
    """The spans that `span_scores` reads from the tags of each sentence."""
    read = _well_formed if strict else tag_schemes.spans
    return [set(read(tags, scheme)) for tags in sentences]


def _well_formed(tags: Sequence[str], scheme: str) -> list[TypedSpan]:
    """The spans whose tags are those that the scheme spells them with."""
    spans = tag_schemes.spans(tags, scheme)
    due = tag_schemes.tags(spans, len(tags), scheme)
    if scheme == "IOB1":
        return _well_formed_iob1(tags, spans, due)
    return [span for span in spans if list(tags[span[1] : span[2]]) == due[span[1] : span[2]]]


def _well_formed_iob1(tags: Sequence[str], spans: Sequence[TypedSpan], due: Sequence[str]) -> list[TypedSpan]:
    """The same in IOB1, where B- only separates two spans of one type; read as seqeval reads it.

    An ill-placed B- is in no span, and an I- after it opens one. A span of a lone B- right before such a B- is dropped.
    """
    kept = []
    for kind, first, end in spans:
        start = first if tags[first] == due[first] else first + 1
        after = tags[end] if end < len(tags) else "O"
        is_dropped = end - start == 1 and tags[start][0] == after[0] == "B" and after != tags[start]
        if start < end and not is_dropped:
            kept.append((kind, start, end))
    return kept


def _counts_by_type(
    predicted: Sequence[set[TypedSpan]], expected: Sequence[set[TypedSpan]]
) -> tuple[list[str], np.ndarray]:
    """The types of spans, sorted, and how many are right, predicted and true of each, `(types, 3)`."""
    right = [ours & gold for ours, gold in zip(predicted, expected, strict=True)]
    columns = [Counter(kind for row in rows for kind, _, _ in row) for rows in (right, predicted, expected)]
    types = sorted(columns[1].keys() | columns[2].keys())
    return types, np.array([[column[kind] for column in columns] for kind in types]).reshape(-1, 3)


def _measures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """F1, precision and recall, `(types,)`, of counts `(types, 3)` of right, predicted and true spans."""
    right, predicted, expected = counts.T
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(expected, 1)
    both = precision + recall
    return {"f1": 2 * precision * recall / np.where(both > 0, both, 1), "precision": precision, "recall": recall}


def _check_tags(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"unknown tag scheme {scheme!r}; known are {', '.join(SCHEMES)}")
    check_lengths(predictions, references)
    for row, (predicted, expected) in enumerate(zip(predictions, references, strict=True)):
        if len(predicted) != len(expected):
            raise ValueError(f"sentence {row} has {len(predicted)} predicted tags but {len(expected)} true ones")
    prefixes = tuple(f"{letter}-" for letter in scheme.strip("12").replace("O", ""))
    for tag in {tag for tags in (*predictions, *references) for tag in tags}:
        if tag != "O" and not (tag.startswith(prefixes) and tag[2:]):
            known = ", ".join(f"{prefix}<type>" for prefix in prefixes)
            raise ValueError(f"tag {tag!r} is not of {scheme}, whose tags are O, {known}")
