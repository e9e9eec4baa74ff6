"""Text lengths and unknown tokens under the encoder's tokenizer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_transfer.checks.checked_rows import Part
from nlp_transfer.checks.finding import Finding, share, some
from nlp_transfer.config import ModelOptions
from nlp_transfer.data.row_store import SLICE, counted, slices

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNKNOWN = 0.01  # share of unknown tokens from which they are reported
_MANY_UNKNOWN = 0.05  # ... and from which the encoder seems to be of another language
_PIECES = 3.0  # tokens a word: 1.2 in the encoder's own language, twice that in a related one
_LONG = 0.05  # share of texts cut from which it weighs
# Words of letters in scripts that part them by blanks; signs of the others are a token each as they should be.
_LETTERS = re.compile(r"[^\W\d_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


@dataclass(frozen=True)
class Tokens:
    """The number of tokens of each row of a split, special ones included and nothing cut, and of unknown ones.

    `pieces` is the mean number of tokens of a word, 0 where there are no words.
    """

    lengths: np.ndarray
    unknown: np.ndarray
    pieces: float


def tokenizer_of(options: ModelOptions, *, of_words: bool) -> tuple[PreTrainedTokenizerBase, int]:
    """The encoder's tokenizer and its maximum length. ModelError where it cannot be loaded."""
    from nlp_transfer.encoders.pretrained import Checkpoint, max_positions
    from nlp_transfer.models.transfer_model import DEFAULT_MAX_LENGTH  # torch, which takes seconds

    checkpoint = Checkpoint.find(
        options.model_name_or_path, revision=options.model_revision, trust_remote_code=options.trust_remote_code
    )
    most = max_positions(checkpoint.encoder_config)
    return checkpoint.tokenizer(of_words=of_words), options.max_length or min(DEFAULT_MAX_LENGTH, most)


def count_tokens(part: Part, tokenizer: PreTrainedTokenizerBase) -> Tokens:
    """Tokenize all rows of a split."""
    special = tokenizer.num_special_tokens_to_add(pair="text_pair" in part.rows.data.column_names)
    unknown_id = -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    lengths, unknown, words, pieces = [], [], 0, 0
    with counted(f"tokenizing {part.name}", len(part)) as bar:
        for columns in slices(part.rows.data):
            ids = _ids(columns, tokenizer)
            length = np.fromiter(map(len, ids), np.int64, len(ids))
            is_unknown = np.fromiter(itertools.chain.from_iterable(ids), np.int64) == unknown_id
            unknown.append(np.bincount(np.repeat(np.arange(len(ids)), length), is_unknown, len(ids)).astype(np.int64))
            lengths.append(length + special)
            if not words:  # the first thousand rows are enough
                words, pieces = _spelt(columns, tokenizer)
            bar.update(SLICE)
    return Tokens(np.concatenate(lengths), np.concatenate(unknown), pieces / words if words else 0.0)


def token_findings(
    parts: Sequence[Part], tokens: dict[str, Tokens], max_length: int, encoder: str
) -> Iterator[Finding]:
    """Unknown tokens, words in too many pieces, and texts that are longer than the maximum length."""
    for part in parts:
        counts = tokens[part.name]
        yield from _unknown(part, counts, encoder)
        if counts.pieces > _PIECES:
            yield Finding(
                "warning",
                "pieces",
                f"{encoder} splits a word of {part.name} into {counts.pieces:.1f} tokens on average (1.2 in a language "
                "that it was trained on).",
                "Choose an encoder of the language of the texts, or a multilingual one (--model_name_or_path).",
            )
        yield from _too_long(part, counts.lengths, max_length)


def _unknown(part: Part, counts: Tokens, encoder: str) -> Iterator[Finding]:
    count, total = int(counts.unknown.sum()), int(counts.lengths.sum())
    if count <= _UNKNOWN * total:
        return
    worst = np.argsort(-counts.unknown / counts.lengths, kind="stable")
    rows = worst[counts.unknown[worst] > 0]
    is_foreign = count > _MANY_UNKNOWN * total
    yield Finding(
        "warning" if is_foreign else "note",
        "unknown_tokens",
        f"{count / total:.1%} of the tokens of {part.name} are unknown to {encoder} "
        f"({share(len(rows), len(part))} rows have one).",
        "Choose an encoder of the language of the texts, or a multilingual one (--model_name_or_path)."
        if is_foreign
        else "Look at the rows: rare signs and emoji are lost on this encoder.",
        part.places(rows),
        some(part.example(row, f"{counts.unknown[row]} of {counts.lengths[row]} tokens are unknown") for row in rows),
    )


def _too_long(part: Part, lengths: np.ndarray, max_length: int) -> Iterator[Finding]:
    is_long = lengths > max_length
    if not is_long.any():
        return
    rows = np.flatnonzero(is_long)
    lost = int((lengths[is_long] - max_length).sum())
    count = f"{share(len(rows), len(part))} {part.name} rows are longer than the maximum length of {max_length} tokens"
    if part.is_tagged:
        what, mend = (
            f"{count}; they are read in overlapping windows, and no word is lost.",
            "Nothing needs to be changed.",
        )
    else:
        what = f"{count}: {lost / lengths.sum():.1%} of all tokens are cut."
        mend = "Raise --max_length as far as the encoder allows, or cut the texts where it hurts least."
    is_heavy = not part.is_tagged and is_long.mean() > _LONG
    yield Finding(
        "warning" if is_heavy else "note",
        "too_long",
        what,
        mend,
        part.places(rows),
        some(part.example(row, f"{lengths[row]:,} tokens") for row in rows),
    )


def _ids(columns: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    texts = [columns[name] for name in ("words", "text", "text_pair") if name in columns]
    return tokenizer(
        *texts,
        is_split_into_words="words" in columns,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]


def _spelt(columns: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """How many words of letters some rows have, and how many tokens spell them."""
    texts = map(" ".join, columns["words"]) if "words" in columns else columns["text"]
    words = [word for text in texts for word in _LETTERS.findall(text)]
    if not words:
        return 0, 0
    ids = tokenizer(words, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return len(words), sum(map(len, ids))
