"""A tokenizer.json, called as a tokenizer of transformers is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from nlp_transfer.errors import ModelError


class Encoded(dict[str, Any]):
    """The token ids of texts by name, and which word each token is of."""

    def __init__(self, encodings: Sequence[Encoding], **columns: Any) -> None:
        super().__init__(columns)
        self._encodings = encodings

    def word_ids(self, row: int) -> list[int | None]:
        """The word of each token of a row."""
        return list(self._encodings[row].word_ids)


class FastTokenizer:
    """Texts become the token ids that the tokenizer of transformers gave, from the same file.

    `unk_token_id` and `pad_token_id` are its ids, `gives_types` whether it tells the second text of a pair by
    token types, `truncation_side` where long texts lose tokens, and `splits_special_tokens` whether text that spells a
    special token is text. Threads may share one. Raises ModelError for a file that cannot be read.
    """

    def __init__(
        self,
        path: Path,
        unk_token_id: int | None,
        pad_token_id: int | None,
        gives_types: bool = False,
        truncation_side: str = "right",
        splits_special_tokens: bool = False,
    ) -> None:
        self.unk_token_id = unk_token_id
        self.pad_token_id = pad_token_id
        self.gives_types = gives_types
        self.truncation_side = truncation_side
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers has no error of its own
            raise ModelError(
                f"{path} is no tokenizer that tokenizers reads ({error}); export the run again."
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = splits_special_tokens
        self._truncation = threading.Lock()  # which is a state of the tokenizer

    def __call__(
        self,
        texts: Any,
        seconds: Sequence[str] | None = None,
        *,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        is_split_into_words: bool = False,
        **_: Any,
    ) -> Encoded:
        """`input_ids` of a text (one list), or of texts, or of pairs; `token_type_ids` of pairs where it gives them.

        Further options choose what transformers returns, and change nothing here.
        """
        is_one = isinstance(texts, str)
        first = [texts] if is_one else list(texts)
        second = seconds if seconds is None else [seconds] if is_one else list(seconds)
        rows = first if second is None else list(zip(first, second, strict=True))
        with self._truncation:
            if truncation and max_length is not None:
                self._tokenizer.enable_truncation(max_length, direction=self.truncation_side)
            else:
                self._tokenizer.no_truncation()
            encodings = self._tokenizer.encode_batch(
                rows, is_pretokenized=is_split_into_words, add_special_tokens=add_special_tokens
            )
        columns = {"input_ids": [encoding.ids for encoding in encodings]}
        if self.gives_types:
            columns["token_type_ids"] = [encoding.type_ids for encoding in encodings]
        return Encoded(encodings, **({name: rows[0] for name, rows in columns.items()} if is_one else columns))
