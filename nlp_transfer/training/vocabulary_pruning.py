"""Which words does a run read, so that the embeddings of all others need no gradient?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from nlp_transfer.data.inputs import TokenInputs


@contextlib.contextmanager
def only_words_of(inputs: Sequence[TokenInputs], network: PreTrainedModel) -> Iterator[None]:
    """Inside, the word embeddings of a network hold the words of `inputs` alone, and so do gradient and optimizer.

    Exact up to rounding: a word that is never read has a gradient of zero, of which AdamW makes no step but the decay
    of the weight. One more row, of ones that nothing reads, decays beside the others; afterwards it says by how much
    the weights of unread words have to shrink. Embeddings that are not a plain `nn.Embedding` are left alone.
    """
    words = network.get_input_embeddings()
    if type(words) is not nn.Embedding or words.sparse or words.scale_grad_by_freq or words.max_norm is not None:
        yield
        return
    weight, whole = words.weight, words.weight.data
    used = _used(inputs, len(whole), words.padding_idx)
    places = torch.zeros(len(whole), dtype=torch.long, device=whole.device)
    places[used] = torch.arange(len(used), device=whole.device)
    padding = words.padding_idx
    words.__class__ = _OnlyWords
    words.register_buffer("places", places, persistent=False)
    words.padding_idx = None if padding is None else int(places[padding])
    weight.data = torch.cat([whole[used], torch.ones_like(whole[:1])])
    weight.unread = whole.numel() - weight.numel()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with torch.no_grad():
            whole *= weight.data[-1]
            whole[used] = weight.data[:-1]
        weight.data, weight.grad = whole, None
        words.__class__ = nn.Embedding
        words.padding_idx = padding
        del words.places, weight.unread  # type: ignore[attr-defined]


def size(parameter: nn.Parameter) -> int:
    """How many weights a parameter has, those of words that are not read among them."""
    return parameter.numel() + getattr(parameter, "unread", 0)


class _OnlyWords(nn.Embedding):
    places: Tensor

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(self.places[ids], self.weight, self.padding_idx)


def _used(inputs: Sequence[TokenInputs], vocabulary: int, padding: int | None) -> Tensor:
    is_used = np.zeros(vocabulary, dtype=bool)
    is_used[[rows.pad_id for rows in inputs] + ([] if padding is None else [padding])] = True
    for rows in inputs:
        for part in rows.columns():
            is_used[part.flatten().to_numpy(zero_copy_only=False)] = True
    return torch.from_numpy(np.flatnonzero(is_used))
