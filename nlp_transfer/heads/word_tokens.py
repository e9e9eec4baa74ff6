"""Words of a text, their subwords, and where both stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from nlp_transfer.data.character_spans import word_offsets
from nlp_transfer.data.windows import Window


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
