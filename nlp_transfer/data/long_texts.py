"""The tokens of texts, and of those that are longer than the encoder reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from nlp_transfer.data.windows import windows

LONG_TEXTS = ("truncate", "head_tail", "window")
"""The first tokens; the first and the last ones; all of them, in overlapping windows."""

_HEAD = 0.25  # the share of the first tokens: 128 of 510 in Sun et al. 2019, "How to fine-tune BERT", section 5.3.1


class TextTokenizer(Protocol):
    """What is needed of a tokenizer: one of transformers is such, and so is that of an exported network."""

    unk_token_id: int | None
    pad_token_id: int | None

    def __call__(self, *texts: Any, **options: Any) -> Any:
        """Token ids of a text, of texts, or of pairs of them, as transformers' tokenizers are called."""


class Tokens(NamedTuple):
    """Token ids of texts, one entry a feature: `row` is the text it belongs to, which may have several windows.

    `token_types` are those of pairs, where the tokenizer marks the second text by them. `dropped` counts the tokens of
    a text that no feature holds, 0 in all its features but the first.
    """

    input_ids: list[list[int]]
    token_types: list[list[int]] | None
    row: list[int]
    dropped: list[int]


def tokens_of(
    texts: Sequence[str],
    seconds: Sequence[str] | None,
    tokenizer: TextTokenizer,
    max_length: int,
    long_texts: str = "truncate",
) -> Tokens:
    """The tokens that are read of texts, or of pairs of `texts` and `seconds`, with the special ones.

    Of a pair that is too long, the longer text loses tokens until both fit (longest first), whatever `long_texts` says.
    """
    both = [list(texts)] if seconds is None else [list(texts), list(seconds)]
    has_types = seconds is not None and gives_types_of_pairs(tokenizer)
    encoded = tokenizer(
        *both,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=has_types,
    )
    ids = encoded["input_ids"]
    types = encoded["token_type_ids"] if has_types else None
    long = [row for row, tokens in enumerate(ids) if len(tokens) >= max_length]
    whole = _whole([[part[row] for row in long] for part in both], tokenizer)
    if long_texts == "truncate" or seconds is not None:
        dropped = [0] * len(ids)
        for row, tokens in zip(long, whole, strict=True):
            dropped[row] = len(tokens) - len(ids[row])
        return Tokens(ids, types, list(range(len(ids))), dropped)
    cut = {row: _cut(tokens, tokenizer, max_length, long_texts) for row, tokens in zip(long, whole, strict=True)}
    features = Tokens([], None, [], [])
    for row, tokens in enumerate(ids):
        for part in cut.get(row, [tokens]):
            features.input_ids.append(part)
            features.row.append(row)
            features.dropped.append(0)
    if long_texts == "head_tail":  # each text is one feature
        for row, tokens in zip(long, whole, strict=True):
            features.dropped[row] = len(tokens) - len(cut[row][0])
    return features


@dataclass
class Lengths:
    """How many texts were longer than the encoder, and what was lost of them, over all that were added."""

    texts: int = 0
    long: int = 0
    read: int = 0
    dropped: int = 0

    def add(self, input_ids: Sequence[Sequence[int]], row: Sequence[int], dropped: Sequence[int]) -> None:
        """Count the texts of `Tokens`."""
        features = Counter(row)
        self.texts += len(features)
        self.long += sum(map(bool, dropped)) + sum(count > 1 for count in features.values())
        self.read += sum(map(len, input_ids))
        self.dropped += sum(dropped)

    def summary(self, max_length: int) -> str:
        """The counts in words."""
        are = f"{self.long:,} of {self.texts:,} texts are longer than {max_length} tokens"
        return f"{are}, and {self.dropped / (self.read + self.dropped):.1%} of all tokens are not read"


def special_tokens(tokenizer: TextTokenizer) -> tuple[list[int], list[int]]:
    """The tokens that stand before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    return [], []


def _whole(both: Sequence[list[str]], tokenizer: TextTokenizer) -> list[list[int]]:
    """All tokens of texts or pairs."""
    if not both[0]:
        return []
    return tokenizer(*both, return_attention_mask=False, return_token_type_ids=False, verbose=False)["input_ids"]


def _cut(ids: list[int], tokenizer: TextTokenizer, max_length: int, how: str) -> list[list[int]]:
    before, after = special_tokens(tokenizer)
    body = ids[len(before) : len(ids) - len(after)]
    room = max_length - len(before) - len(after)
    if len(body) <= room:
        return [ids]
    if how == "window":
        return [before + body[span.start : span.end] + after for span in windows([1] * len(body), room)]
    head = round(_HEAD * room)
    return [before + body[:head] + body[len(body) - (room - head) :] + after]


def gives_types_of_pairs(tokenizer: TextTokenizer) -> bool:
    """Whether the second text of a pair has other token types than the first (BERT's has, RoBERTa's has not)."""
    return any(tokenizer("a", "b").get("token_type_ids", []))
