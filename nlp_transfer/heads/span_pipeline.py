"""How `transformers.pipeline` is asked for the entities that `predict` finds, where it can find them."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

_WORDS = r"\w+|[^\w\s]"


@dataclass(frozen=True)
class SpanPipeline:
    """A call of the pipeline for token-classification.

    `strategy` is its aggregation strategy; None where no setting gives the entities, and `because` says why. It
    `takes_words` of a text, and not the text, where its tokens do not say which words they are of.
    """

    strategy: str | None
    takes_words: bool = False
    because: str = ""

    @property
    def imports(self) -> list[str]:
        """The imports of the call, as code of the model card."""
        return ["import re", ""] if self.takes_words else []

    @property
    def options(self) -> str:
        """Further arguments of `transformers.pipeline`, as code of the model card."""
        return f', aggregation_strategy="{self.strategy}"'

    @property
    def call(self) -> str:
        """A call of the pipeline `pipe`, as code of the model card."""
        if not self.takes_words:
            return 'pipe("Some text.")'
        return f'pipe(re.findall(r"{_WORDS}", "Some text."), is_split_into_words=True)'

    def input(self, text: str) -> str | list[str]:
        """What the pipeline is given of a text."""
        return re.findall(_WORDS, text) if self.takes_words else text

    def in_text(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Characters of a text, of those of what the pipeline was given: of words these are joined by blanks."""
        if not self.takes_words:
            return start, end
        places: list[int] = []  # in the text, of each character of the joined words
        for match in re.finditer(_WORDS, text):
            places += [*range(*match.span()), match.end()]
        return places[start], places[end - 1] + 1


def span_pipeline(prefixes: Set[str], scheme: str, tokenizer: PreTrainedTokenizerBase) -> SpanPipeline:
    """The call for tags of a scheme, which has these prefixes, and for the words of a tokenizer.

    By transformers 5.24 (`TokenClassificationPipeline`): entities are grouped by B- and I- alone, and the strategies of
    words join tokens to the word before them where the tokenizer marks them (WordPiece's ##), else where no blank is
    between them. `first` alone leaves out the subwords that carry no tag in training.
    """
    if other := sorted(prefixes - {"B", "I"}):
        written = " and ".join(f"{prefix}-" for prefix in other)
        return SpanPipeline(None, because=f"it knows B- and I- only, and takes {written} of {scheme} for other types")
    if marks_subwords(tokenizer):
        return SpanPipeline("first")
    return SpanPipeline(
        "first",
        takes_words=True,
        because='the tokens do not say where a word ends, and a mark would belong to the word before it, as in "Graz!"',
    )


def marks_subwords(tokenizer: Any) -> bool:
    """Whether tokens say that they continue a word, so that the pipeline can tell words apart without blanks."""
    return bool(getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))
