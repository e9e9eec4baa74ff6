"""Entities that a pipeline of transformers finds in a saved model, compared with those that `predict` finds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from nlp_transfer.heads.span_pipeline import SpanPipeline
from nlp_transfer.models.transfer_model import TransferModel

Entity = list[Any]
"""Type, first character, one past the last character, as in JSON."""


@dataclass(frozen=True)
class Entities:
    """How many entities were found in so many texts, and in how many of these a pipeline finds others."""

    texts: int
    found: int
    differing: int

    def __str__(self) -> str:
        if self.differing:
            return (
                f"A pipeline of transformers finds other entities in {self.differing} of {self.texts} texts, so the "
                f"model card shows the call of nlp_transfer."
            )
        return f"A pipeline of transformers finds the same {_count(self.found, 'entity', 'entities')} in these texts."


def opens_in_pipeline(model: TransferModel) -> bool:
    """Whether a pipeline takes the saved model: PEFT loads no adapter under a head of ours, and no prompt."""
    if not model.adapter or model.adapter.is_merged:
        return True
    return not (is_ours(model) or model.adapter.is_prompt)


def is_ours(model: TransferModel) -> bool:
    """Whether the network is one that transformers does not have."""
    return type(model.network).__module__.startswith("nlp_transfer.")


def reference_entities(model: TransferModel, rows: Dataset) -> dict[str, Any] | None:
    """How a pipeline is asked for entities, and what `predict` finds in the same texts, as plain JSON values.

    None where no pipeline is asked. The texts are written as people write them, marks beside their words, and short
    enough for one pass of the network.
    """
    call = model.head.span_pipeline(model.tokenizer)
    if call is None or call.strategy is None or not opens_in_pipeline(model):
        return None
    texts = [text for words in rows["words"] if (text := _in_one_window(model, words))]
    if not texts:
        return None
    predictions = model.predict(texts, precision="no")
    return {
        "strategy": call.strategy,
        "takes_words": call.takes_words,
        "texts": texts,
        "entities": [[[span.type, span.start, span.end] for span in each.spans] for each in predictions],
    }


def entities_request(reference: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What `fresh_process.py` needs to ask a pipeline."""
    if reference is None:
        return None
    call = SpanPipeline(reference["strategy"], reference["takes_words"])
    inputs = [call.input(text) for text in reference["texts"]]
    return {"strategy": call.strategy, "takes_words": call.takes_words, "inputs": inputs}


def compared_entities(reference: Mapping[str, Any], answers: Sequence[Sequence[Entity] | None]) -> Entities:
    """How the answers of a pipeline, None where it failed, compare with what `reference_entities` returned."""
    call = SpanPipeline(reference["strategy"], reference["takes_words"])
    differing = 0
    for text, ours, theirs in zip(reference["texts"], reference["entities"], answers, strict=True):
        placed = None if theirs is None else [[kind, *call.in_text(text, start, end)] for kind, start, end in theirs]
        differing += placed is None or sorted(placed) != sorted(map(list, ours))
    return Entities(len(answers), sum(map(len, reference["entities"])), differing)


def written(words: Sequence[str]) -> str:
    """A text of words as people write it, where corpora have blanks around each mark.

    >>> written(["Omar", "'s", "in", "Graz", "(", "Austria", ")", "!"])
    "Omar's in Graz (Austria)!"
    """
    text = " ".join(words)
    return re.sub(r"(?<=[(\[{]) | (?=[.,;:!?%)\]}'\u2019\u2026])", "", text).strip()


def _in_one_window(model: TransferModel, words: Sequence[str]) -> str:
    """A text of the first words: so many that a pipeline truncates nothing, and no window of ours cuts it."""
    text = written(words)
    while (
        len(words) > 1
        and len(model.head.encode(model.head.columns_of([text]), model.tokenizer, model.max_length)["row"]) > 1
    ):
        words = words[: len(words) // 2]
        text = written(words)
    return text


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
