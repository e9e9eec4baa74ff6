"""Batches of the activations of frozen layers: from the cache, or computed for each batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nlp_transfer.activations.truncation import TruncatedEncoder
from nlp_transfer.data.inputs import Inputs, TokenInputs


class CachedActivations(Inputs):
    """Features as cached activations: `inputs_embeds` `(batch, longest, width)`, fp32."""

    def __init__(self, rows: TokenInputs, cached: Tensor, by_token: bool) -> None:
        self.features = rows.features
        self.lengths = rows.lengths
        self._rows = rows
        self._cached = cached
        self._starts = starts_of(rows.lengths) if by_token else None

    def batch(self, places: Sequence[int]) -> dict[str, Tensor]:
        if self._starts is None:
            vectors = self._cached[torch.tensor(places)].float()[:, None]
            batch = {"inputs_embeds": vectors, "attention_mask": torch.ones(vectors.shape[:2], dtype=torch.long)}
        else:
            mask, index = token_places(self.lengths, self._starts, places)
            states = torch.zeros(*mask.shape, self._cached.shape[1])
            states[mask] = self._cached[index].float()
            batch = {"inputs_embeds": states, "attention_mask": mask.long()}
        return batch | self._rows.labels(places, batch["attention_mask"].bool())


class ComputedActivations(Inputs):
    """Features as activations that frozen layers compute for each batch, where the cache has no room for them."""

    runs_network = True

    def __init__(
        self, rows: TokenInputs, truncated: TruncatedEncoder, compute: Callable[[Sequence[int]], Tensor]
    ) -> None:
        self.features = rows.features
        self.lengths = rows.lengths
        self._rows = rows
        self._truncated = truncated
        self._compute = compute

    def batch(self, places: Sequence[int]) -> dict[str, Tensor]:
        with self._truncated.complete():
            states = self._compute(places).float().cpu()
        mask = self._rows.mask(places)
        if states.ndim == 2:
            states, mask = states[:, None], mask[:, :1]
        return {"inputs_embeds": states, "attention_mask": mask.long()} | self._rows.labels(places, mask)


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """The index of the first token of each row among the tokens of all rows."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[:-1]


def token_places(lengths: np.ndarray, starts: np.ndarray, places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The mask of a batch, `(batch, longest)`, and the indices of its real tokens among those of all rows."""
    chosen = lengths[list(places)]
    within = np.arange(chosen.max())
    mask = within < chosen[:, None]
    return torch.from_numpy(mask), torch.from_numpy((starts[list(places)][:, None] + within)[mask])
