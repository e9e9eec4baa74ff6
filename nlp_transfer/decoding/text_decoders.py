"""Decoders of labels, sets of labels and numbers of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nlp_transfer.data.long_texts import TextTokenizer, tokens_of
from nlp_transfer.decoding.decoder import Columns, Decoder, register_decoder
from nlp_transfer.decoding.probabilities import pooled_windows, sigmoid, softmax
from nlp_transfer.errors import DataError
from nlp_transfer.types import MultiLabelPrediction, Prediction, RegressionPrediction, SentimentPrediction

_SAME_NUMBER = 0.05
"""Two numbers agree where they differ by no more than this share of the spread of all (their standard deviation)."""


@dataclass(frozen=True)
class TextDecoder(Decoder):
    """The answer for each text as a whole; the options are those of `TextHead`."""

    long_texts: str = "truncate"
    window_pooling: str = "mean"

    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        return texts_or_pairs(texts, self.pairs)

    def encode(self, rows: Columns, tokenizer: TextTokenizer, max_length: int) -> dict[str, list[Any]]:
        """Columns as in `Decoder.encode`; `dropped`: how many tokens of a row are not read.

        `token_type_ids` are there for pairs, if the tokenizer has them.
        """
        if self.pairs and "text_pair" not in rows:
            raise DataError("this model was trained on pairs of texts; give each text with its second one.")
        if not self.pairs and "text_pair" in rows:
            raise DataError("this model was trained on single texts, not on pairs; give one text a row.")
        seconds = rows["text_pair"] if self.pairs else None
        tokens = tokens_of(rows["text"], seconds, tokenizer, max_length, self.long_texts)
        features: dict[str, list[Any]] = {"input_ids": tokens.input_ids, "row": tokens.row, "dropped": tokens.dropped}
        if tokens.token_types is not None:
            features["token_type_ids"] = tokens.token_types
        return features

    def outputs(self, logits: np.ndarray, features: Columns) -> list[np.ndarray]:
        return list(logits[:, None, :])

    def logits_of_rows(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Logits `(rows, labels)` of rows that have `(windows, labels)` each."""
        return pooled_windows(outputs, self.window_pooling, len(self.labels))


@register_decoder
@dataclass(frozen=True)
class LabelDecoder(TextDecoder):
    """One label for each text; logits are divided by `temperature`, where it was fitted, before the softmax."""

    kind = "label"
    temperature: float | None = None

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[Prediction]:
        logits = self.logits_of_rows(outputs)
        best = logits.argmax(axis=1)  # of raw logits, so that no rounding at a temperature changes the label
        return [self._prediction(int(i), p) for i, p in zip(best, softmax(logits, self.temperature), strict=True)]

    def _prediction(self, best: int, probabilities: np.ndarray) -> Prediction:
        named = {name: float(p) for name, p in zip(self.labels, probabilities, strict=True)}
        return Prediction(self.labels[best], float(probabilities[best]), named)


@register_decoder
@dataclass(frozen=True)
class ScaleDecoder(LabelDecoder):
    """One of several ordered labels for each text, lowest first, and its place on their scale."""

    kind = "scale"

    def _prediction(self, best: int, probabilities: np.ndarray) -> SentimentPrediction:
        plain = super()._prediction(best, probabilities)
        polarity = float(probabilities @ np.linspace(-1.0, 1.0, len(self.labels)))
        return SentimentPrediction(plain.label, plain.probability, plain.probabilities, min(max(polarity, -1.0), 1.0))


@register_decoder
@dataclass(frozen=True)
class LabelSetDecoder(TextDecoder):
    """Any number of labels for each text: those whose sigmoid is at least their threshold, by default 0.5.

    `scaling` holds a and b of labels, where the calibrated probability is sigmoid(a * logit + b).
    """

    kind = "label_set"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    scaling: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[MultiLabelPrediction]:
        logits = self.logits_of_rows(outputs).astype(np.float64)
        # Of raw logits, as thresholds are: the scaling changes probabilities, but no predicted label.
        positive = sigmoid(logits) >= [self.thresholds.get(name, 0.5) for name in self.labels]
        predictions = []
        for probabilities, row in zip(sigmoid(self.scaled(logits)), positive, strict=True):
            by_name = {name: float(p) for name, p in zip(self.labels, probabilities, strict=True)}
            labels = tuple(name for name, is_positive in zip(self.labels, row, strict=True) if is_positive)
            predictions.append(MultiLabelPrediction(labels, by_name))
        return predictions

    def scaled(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(rows, labels)`, or one for each label, after the scaling."""
        a, b = np.array([self.scaling.get(name, (1.0, 0.0)) for name in self.labels]).T
        return a * logits + b


@register_decoder
@dataclass(frozen=True)
class NumberDecoder(TextDecoder):
    """A number for each text, which is the network's one output."""

    kind = "number"
    no_confidence = "this model gives a number, which has no confidence estimate"

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[RegressionPrediction]:
        return [RegressionPrediction(float(number)) for number in self.logits_of_rows(outputs)[:, 0]]

    def agreeing(self, predictions: Sequence[Any], others: Sequence[Any]) -> tuple[int, int]:
        ours, theirs = (np.array([p.value for p in side]) for side in (predictions, others))
        return int((np.abs(ours - theirs) <= _SAME_NUMBER * theirs.std()).sum()), len(theirs)


def texts_or_pairs(texts: Sequence[Any], pairs: bool) -> dict[str, list[Any]]:
    """Columns of texts, or of `pairs` of them. DataError for the first item that is neither."""
    for number, text in enumerate(texts, start=1):
        if isinstance(text, str) == pairs or (pairs and len(text) != 2):
            wanted = "pairs of texts, such as ('a text', 'its second text')" if pairs else "single texts"
            raise DataError(f"text {number}: this model was trained on {wanted}; got {str(text)[:40]!r}.")
    if not pairs:
        return {"text": list(texts)}
    return {"text": [first for first, _ in texts], "text_pair": [second for _, second in texts]}
