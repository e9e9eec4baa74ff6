"""Words of a text, their subwords, and the positions of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_transfer.data.character_spans import word_offsets
from nlp_transfer.data.long_texts import TextTokenizer, special_tokens
from nlp_transfer.data.windows import Window, windows
from nlp_transfer.types import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


def encode_words(
    rows: Sequence[Sequence[str]],
    targets: Sequence[Sequence[int]] | None,
    tokenizer: TextTokenizer,
    max_length: int,
) -> dict[str, list[Any]]:
    """Features of the words of rows, in overlapping windows if a row is too long; each word is predicted in one.

    `input_ids`, `row`, and `starts`: the positions in `input_ids` of the first subwords of the predicted words. With
    `targets`, a label id for each word, also `labels`, at the first subword of a word.
    """
    before, after = special_tokens(tokenizer)
    budget = max_length - len(before) - len(after)
    features: dict[str, list[Any]] = {"input_ids": [], "row": [], "starts": []}
    if targets is not None:
        features["labels"] = []
    for row, words in enumerate(subwords_of(rows, tokenizer)):
        # A single word may have more than `max_length` tokens (a URL); its first subword still carries its label.
        words = [word[:budget] for word in words]
        for window in windows([len(word) for word in words], budget):
            starts = first_subwords(words, window, len(before))
            ids = before + [token for word in words[window.start : window.end] for token in word] + after
            features["input_ids"].append(ids)
            features["row"].append(row)
            features["starts"].append(starts)
            if targets is not None:
                labels = dict(zip(starts, targets[row][window.own : window.own_end], strict=True))
                features["labels"].append([labels.get(place, IGNORED) for place in range(len(ids))])
    return features


def logits_of_words(logits: Tensor, features: Mapping[str, Sequence[Any]]) -> list[np.ndarray]:
    """Logits `(words, labels)` of each feature's predicted words, out of `(batch, tokens, labels)`."""
    return logits_at(logits.float().cpu().numpy(), features["starts"])


def logits_at(logits: np.ndarray, starts: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Logits `(words, labels)` of each feature at the places of its words, out of `(batch, tokens, labels)`."""
    return [logits[i, places] for i, places in enumerate(starts)]


def words_of(text: str | Sequence[str]) -> dict[str, Any]:
    """The words of a text, their character offsets, and the text."""
    if not isinstance(text, str):
        joined, offsets = join_words(text)
        return {"words": list(text), "offsets": offsets, "text": joined}
    offsets = word_offsets(text)
    return {"words": [text[start:end] for start, end in offsets], "offsets": offsets, "text": text}


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words joined by blanks into one text, and the character offsets of each word."""
    offsets, place = [], 0
    for word in words:
        offsets.append((place, place + len(word)))
        place += len(word) + 1
    return " ".join(words), offsets


def subwords_of(rows: Sequence[Sequence[str]], tokenizer: TextTokenizer) -> list[list[list[int]]]:
    """Token ids of each word of each row. A word without any token (a lone joiner) becomes the unknown token."""
    encoded = tokenizer(
        [list(words) for words in rows],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    unknown = next(i for i in (tokenizer.unk_token_id, tokenizer.pad_token_id, 0) if i is not None)
    ids = []
    for row, words in enumerate(rows):
        subwords: list[list[int]] = [[] for _ in words]
        for token, word in zip(encoded["input_ids"][row], encoded.word_ids(row), strict=True):
            subwords[word].append(token)
        ids.append([word or [unknown] for word in subwords])
    return ids


def first_subwords(words: Sequence[Sequence[int]], window: Window, first: int) -> list[int]:
    """Token positions of the first subwords of the words that a window predicts."""
    positions, position = [], first
    for word in range(window.start, window.end):
        if window.own <= word < window.own_end:
            positions.append(position)
        position += len(words[word])
    return positions
