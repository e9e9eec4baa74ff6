"""The blanks of a tokenizer for words: each word gets the blank it has in a sentence, and offsets leave blanks out."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

Part = dict[str, Any]
"""A normalizer, pre-tokenizer or post-processor, as tokenizer.json holds it."""

_LISTS = {"pre_tokenizer": "pretokenizers", "post_processor": "processors"}
"""The parts of a tokenizer that know of blanks, and the field of a sequence of such parts."""

_KEPT = (
    "model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces",
    "split_special_tokens",
)  # fmt: skip


def for_words(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer that reads each word of a list as inside a sentence, and gives each word of a text its own offsets.

    Byte-level tokenizers (RoBERTa, DeBERTa, ModernBERT) write the blank before a word into its token, as SentencePiece
    does where a text is not split at blanks first (DeBERTa-v2): then the first word of a text has none, and the offsets
    of others begin with it. So texts are split at blanks, each word gets a blank of its own, and nothing is trimmed off
    the offsets. A tokenizer that does so already, or without blanks (XLM-R, WordPiece), is returned as it is. An edited
    one is of no family any more: the classes of transformers make these parts anew where a saved folder is opened.
    """
    backend = tokenizer.backend_tokenizer
    try:
        parts = {name: _listed(getattr(backend, name), name) for name in _LISTS}
    except Exception:  # a part that is written in Python has no state (RoFormer's, for Chinese)
        return tokenizer
    edited = dict(zip(_LISTS, _edited(*parts.values()), strict=True))
    if edited == parts:
        return tokenizer
    rebuilt = _rebuilt(edited)
    for name in _LISTS:
        setattr(backend, name, getattr(rebuilt, name))
    if not type(tokenizer).__module__.startswith("transformers."):  # code from the hub may do more than these parts
        return tokenizer
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        name_or_path=tokenizer.name_or_path,
        extra_special_tokens=list(tokenizer.extra_special_tokens),
        **{name: getattr(tokenizer, name) for name in _KEPT},
        **tokenizer.special_tokens_map,
    )


_SPLIT_AT_BLANKS = {"type": "WhitespaceSplit"}
_PUT_BLANK = {"type": "Metaspace", "replacement": " ", "prepend_scheme": "always", "split": False}


def _edited(before: list[Part], after: list[Part]) -> tuple[list[Part], list[Part]]:
    """Pre-tokenizers and post-processors with the blanks put right."""
    kinds = [part["type"] for part in before]
    place = next((i for i, kind in enumerate(kinds) if kind in ("ByteLevel", "Metaspace")), None)
    if place is None:
        return before, after
    are_split = any(kind in ("WhitespaceSplit", "Whitespace", "BertPreTokenizer") for kind in kinds[:place])
    writer = before[place]
    if writer["type"] == "Metaspace":
        if not are_split and writer["prepend_scheme"] != "never":
            writer = writer | {"prepend_scheme": "always"}
            before = [_SPLIT_AT_BLANKS, *before[:place], writer, *before[place + 1 :]]
    elif writer["add_prefix_space"]:
        before = before if are_split else [_SPLIT_AT_BLANKS, *before]
    elif are_split:
        return before, after
    elif place == 0:
        before = [_SPLIT_AT_BLANKS, writer | {"add_prefix_space": True}, *before[1:]]
    else:
        # ByteLevel would put a blank before each part that a Split before it has cut off, within words too.
        before = [_SPLIT_AT_BLANKS, _PUT_BLANK, *before]
    offsets = {"trim_offsets": False, "add_prefix_space": True}
    return before, [part | offsets if offsets.keys() <= part.keys() else part for part in after]


def _listed(part: Any, name: str) -> list[Part]:
    """A part as the list of those that it is a sequence of."""
    if part is None:
        return []
    state = json.loads(part.__getstate__())
    return list(state[_LISTS[name]]) if state["type"] == "Sequence" else [state]


def _rebuilt(parts: dict[str, list[Part]]) -> Tokenizer:
    """A tokenizer of no words with these parts."""
    spec: Part = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "decoder": None}
    spec["model"] = {"type": "BPE", "vocab": {}, "merges": []}
    for name, listed in parts.items():
        spec[name] = {"type": "Sequence", _LISTS[name]: listed} if len(listed) > 1 else next(iter(listed), None)
    return Tokenizer.from_str(json.dumps(spec))
