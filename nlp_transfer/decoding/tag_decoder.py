"""The decoder of a tag for each word, and of the entities that the tags spell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from nlp_transfer.data import tag_schemes
from nlp_transfer.data.long_texts import TextTokenizer
from nlp_transfer.data.word_windows import encode_words, join_words, logits_at, words_of
from nlp_transfer.decoding.decoder import Columns, Decoder, register_decoder
from nlp_transfer.decoding.probabilities import softmax
from nlp_transfer.decoding.viterbi import decode as best_sequence
from nlp_transfer.types import Span, TagPrediction


@register_decoder
@dataclass(frozen=True)
class TagDecoder(Decoder):
    """A tag for each word, decoded by Viterbi over the valid transitions of the scheme, and their entities."""

    kind = "tags"
    no_confidence = "a tagger gives each span a score of its own"

    scheme: str = "IOB2"
    temperature: float | None = None

    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        """Words, their character offsets, and the text; a text may be a list of words."""
        split = [words_of(text) for text in texts]
        return {name: [row[name] for row in split] for name in ("words", "offsets", "text")}

    def encode(self, rows: Columns, tokenizer: TextTokenizer, max_length: int) -> dict[str, list[Any]]:
        """Columns as in `Decoder.encode`, and `starts`: the places in `input_ids` of the words that are predicted."""
        return encode_words(rows["words"], None, tokenizer, max_length)

    def outputs(self, logits: np.ndarray, features: Columns) -> list[np.ndarray]:
        return logits_at(logits, features["starts"])

    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[TagPrediction]:
        """A prediction for each row; `rows["offsets"]`, if there, are the offsets of words in `rows["text"]`."""
        return [
            self._prediction(
                logits,
                rows["words"][i],
                rows["text"][i] if "offsets" in rows else None,
                rows["offsets"][i] if "offsets" in rows else None,
            )
            for i, logits in enumerate(outputs)
        ]

    def agreeing(self, predictions: Sequence[Any], others: Sequence[Any]) -> tuple[int, int]:
        """Counts of words."""
        pairs = [
            (a, b)
            for ours, theirs in zip(predictions, others, strict=True)
            for a, b in zip(ours.tags, theirs.tags, strict=True)
        ]
        return sum(a == b for a, b in pairs), len(pairs)

    def _prediction(
        self,
        logits: np.ndarray,
        words: Sequence[str],
        text: str | None,
        offsets: Sequence[tuple[int, int]] | None,
    ) -> TagPrediction:
        if text is None or offsets is None:
            text, offsets = join_words(words)
        path, _ = best_sequence(np.log(softmax(logits)), *_transitions(self.scheme, self.labels))
        tags = [self.labels[label] for label in path]  # of raw logits: calibration changes no tag
        chosen = softmax(logits, self.temperature)[np.arange(len(path)), path] if path else np.zeros(0)
        entities = []
        for kind, first, end in tag_schemes.spans(tags, self.scheme):
            start_character, end_character = offsets[first][0], offsets[end - 1][1]
            surface = text[start_character:end_character]
            # The probability of all its words together is at most that of the least probable one.
            entities.append(Span(kind, surface, start_character, end_character, float(chosen[first:end].min())))
        return TagPrediction(tuple(words), tuple(tags), tuple(map(float, chosen)), tuple(entities))


@lru_cache(maxsize=32)
def _transitions(scheme: str, labels: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(part) for part in tag_schemes.allowed(scheme, labels))
