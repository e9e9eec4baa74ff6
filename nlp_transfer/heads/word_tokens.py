"""Words of a text, their subwords, and where both stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.character_spans import word_offsets
from nlp_transfer.data.long_texts import special_tokens
from nlp_transfer.data.windows import Window, windows


def encode_words(
    rows: Sequence[Sequence[str]],
    targets: Sequence[Sequence[int]] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> dict[str, list[Any]]:
    """Features of the words of rows, in overlapping windows where a row is too long, so that each word has one place.

    `input_ids`, `row`, and `starts`: where in `input_ids` the first subwords of the words stand that are predicted.
    With `targets`, a label id for each word, also `labels`, which the first subword of a word carries.
    """
    before, after = special_tokens(tokenizer)
    budget = max_length - len(before) - len(after)
    features: dict[str, list[Any]] = {"input_ids": [], "row": [], "starts": []}
    if targets is not None:
        features["labels"] = []
    for row, words in enumerate(subwords_of(rows, tokenizer)):
        # One word alone can be longer than the encoder (a URL); its first subword still carries its label.
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
    """Logits `(words, labels)` of the words that each feature of a batch predicts, of `(batch, tokens, labels)`."""
    values = logits.float().cpu().numpy()
    return [values[i, starts] for i, starts in enumerate(features["starts"])]


def words_of(text: str | Sequence[str]) -> dict[str, Any]:
    """The words of a text and where they stand in it."""
    if not isinstance(text, str):
        joined, offsets = join_words(text)
        return {"words": list(text), "offsets": offsets, "text": joined}
    offsets = word_offsets(text)
    return {"words": [text[start:end] for start, end in offsets], "offsets": offsets, "text": text}


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words as one text with blanks between them, and where each word stands in it."""
    offsets, place = [], 0
    for word in words:
        offsets.append((place, place + len(word)))
        place += len(word) + 1
    return " ".join(words), offsets


def subwords_of(rows: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase) -> list[list[list[int]]]:
    """Token ids of each word of each row. A word the tokenizer has nothing for (a lone joiner) is an unknown token."""
    encoded = tokenizer(
        [list(words) for words in rows],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    ids = []
    for row, words in enumerate(rows):
        subwords: list[list[int]] = [[] for _ in words]
        for token, word in zip(encoded["input_ids"][row], encoded.word_ids(row), strict=True):
            subwords[word].append(token)
        ids.append([word or [tokenizer.unk_token_id] for word in subwords])
    return ids


def first_subwords(words: Sequence[Sequence[int]], window: Window, first: int) -> list[int]:
    """Token places of the first subwords of the words that a window predicts."""
    places, place = [], first
    for word in range(window.start, window.end):
        if window.own <= word < window.own_end:
            places.append(place)
        place += len(words[word])
    return places
