"""Word embeddings pruned to the vocabulary of the data while a run trains."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_transfer.data.inputs import TokenInputs


@contextlib.contextmanager
def pruned_vocabulary(inputs: Sequence[TokenInputs], network: PreTrainedModel) -> Iterator[None]:
    """Inside, the word embeddings of a network hold the words of `inputs` alone, and so do gradient and optimizer.

    Exact up to rounding: a word that does not occur has a gradient of zero, and all that AdamW does to it is weight
    decay. One more row, of ones that no word reads, decays with the others; afterwards it gives the factor by which the
    weights of the other words have to shrink. Embeddings that are not a plain `nn.Embedding` are left alone.
    """
    words = network.get_input_embeddings()
    if type(words) is not nn.Embedding or words.sparse or words.scale_grad_by_freq or words.max_norm is not None:
        yield
        return
    weight, full = words.weight, words.weight.data
    used = _used_ids(inputs, len(full), words.padding_idx)
    new_ids = torch.zeros(len(full), dtype=torch.long, device=full.device)
    new_ids[used] = torch.arange(len(used), device=full.device)
    padding = words.padding_idx
    hook = words.register_forward_pre_hook(lambda module, args: (new_ids[args[0]],))
    words.padding_idx = None if padding is None else int(new_ids[padding])
    weight.data = torch.cat([full[used], torch.ones_like(full[:1])])
    weight.unused = full.numel() - weight.numel()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with torch.no_grad():
            full *= weight.data[-1]
            full[used] = weight.data[:-1]
        weight.data, weight.grad = full, None
        hook.remove()
        words.padding_idx = padding
        del weight.unused  # type: ignore[attr-defined]


def size(parameter: nn.Parameter) -> int:
    """How many weights a parameter has, including those of words that are pruned for now."""
    return parameter.numel() + getattr(parameter, "unused", 0)


def _used_ids(inputs: Sequence[TokenInputs], vocabulary: int, padding: int | None) -> Tensor:
    is_used = np.zeros(vocabulary, dtype=bool)
    is_used[[rows.pad_id for rows in inputs] + ([] if padding is None else [padding])] = True
    for rows in inputs:
        for part in rows.columns():
            is_used[part.flatten().to_numpy(zero_copy_only=False)] = True
    return torch.from_numpy(np.flatnonzero(is_used))
