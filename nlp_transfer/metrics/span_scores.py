"""How good are predicted entity spans?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import List, Value

from nlp_transfer.metrics.metric import LocalMetric, check_lengths
from nlp_transfer.types import Scores

SCHEMES = ("IOB1", "IOB2", "BIOES", "BILOU")


def span_scores(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str) -> Scores:
    """Precision, recall and F1 of entity spans that seqeval reads from the tags, strictly and leniently.

    A span counts where its type and both its ends are right. Strict: only what is well formed in `scheme` is a span.
    Lenient: also what looks like one, such as an I- tag that opens a span, as conlleval reads it (Tjong Kim Sang and
    De Meulder 2003). Plain names are micro averages; macro means run over the types that occur on either side;
    `per_type` is strict, `per_type_lenient` is not. A score with nothing to divide by is 0.0, also where neither side
    holds a span. Raises ValueError if lengths differ, `scheme` is not one of `SCHEMES`, or a tag does not belong to it.

    >>> span_scores([["I-PER", "O"]], [["B-PER", "O"]], scheme="IOB2")["f1_lenient"]
    1.0
    """
    _check_tags(predictions, references, scheme)
    predicted, expected = [list(tags) for tags in predictions], [list(tags) for tags in references]
    strict = _span_report(predicted, expected, mode="strict", scheme=_scheme(scheme))
    if scheme == "BILOU":  # seqeval's lenient reading does not know L and U
        predicted, expected = _as_bioes(predicted), _as_bioes(expected)
    lenient = _span_report(predicted, expected)
    return {
        **_span_averages(strict, "strict"),
        **_span_averages(lenient, "lenient"),
        "per_type": _span_types(strict),
        "per_type_lenient": _span_types(lenient),
        "scheme": scheme,
    }


def spans_of(sentences: Sequence[Sequence[str]], scheme: str, strict: bool) -> list[set[tuple[str, int, int]]]:
    """Type, first word and end (excluded) of the spans that `span_scores` reads from the tags of each sentence."""
    from seqeval import scheme as schemes
    from seqeval.metrics.sequence_labeling import get_entities

    if strict:
        found = schemes.Entities([list(tags) for tags in sentences], _scheme(scheme)).entities
        return [{(entity.tag, entity.start, entity.end) for entity in row} for row in found]
    read = _as_bioes([list(tags) for tags in sentences]) if scheme == "BILOU" else [list(tags) for tags in sentences]
    return [{(kind, start, end + 1) for kind, start, end in get_entities(tags)} for tags in read]


class SpanF1(LocalMetric):
    """The scores of `span_scores` for sentences of tags in `scheme`.

    >>> SpanF1(scheme="IOB2").compute(predictions=[["I-PER"]], references=[["B-PER"]])["f1_strict"]
    0.0
    """

    _inputs = "predictions and references: a list of tags for each sentence."
    _kinds: Sequence[Any] = (List(Value("string")),)

    def __init__(self, scheme: str = "IOB2", **options: Any) -> None:
        self.scheme = scheme
        super().__init__(**options)

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Scores:
        return span_scores(predictions, references, self.scheme)


def _check_tags(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"unknown tag scheme {scheme!r}; known are {', '.join(SCHEMES)}")
    check_lengths(predictions, references)
    for row, (predicted, expected) in enumerate(zip(predictions, references, strict=True)):
        if len(predicted) != len(expected):
            raise ValueError(f"sentence {row} has {len(predicted)} predicted tags but {len(expected)} true ones")
    prefixes = tuple(f"{letter}-" for letter in scheme.strip("12").replace("O", ""))
    for tag in {tag for tags in (*predictions, *references) for tag in tags}:
        if tag != "O" and not tag.startswith(prefixes):
            raise ValueError(f"tag {tag!r} is not of {scheme}, whose tags are O or start with {', '.join(prefixes)}")


def _scheme(name: str) -> Any:
    from seqeval import scheme as schemes  # brings scikit-learn, a second: only where scored

    return getattr(schemes, "IOBES" if name == "BIOES" else name)


def _as_bioes(sentences: list[list[str]]) -> list[list[str]]:
    letters = {"L": "E", "U": "S"}
    return [[letters.get(tag[0], tag[0]) + tag[1:] for tag in tags] for tags in sentences]


def _span_report(predicted: list[list[str]], expected: list[list[str]], **reading: Any) -> Mapping[str, Any]:
    """Rows of precision, recall, f1-score and support: one a type, then `micro avg`, `macro avg`, `weighted avg`."""
    from seqeval.metrics import classification_report

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the macro mean over no types, which _span_row makes 0.0
        return classification_report(expected, predicted, output_dict=True, zero_division=0, **reading)


def _span_averages(report: Mapping[str, Any], reading: str) -> Scores:
    micro, macro = _span_row(report["micro avg"]), _span_row(report["macro avg"])
    return {f"{name}_{reading}": value for name, value in micro.items()} | {
        f"macro_{name}_{reading}": value for name, value in macro.items()
    }


def _span_types(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        name: {**_span_row(row), "support": int(row["support"])}
        for name, row in report.items()
        if not name.endswith(" avg")
    }


def _span_row(row: Mapping[str, Any]) -> dict[str, float]:
    values = {"f1": row["f1-score"], "precision": row["precision"], "recall": row["recall"]}
    return {name: 0.0 if math.isnan(value) else float(value) for name, value in values.items()}
