"""Batches of rows: their sampling, and their collation into tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nlp_transfer.data.length_batches import length_batches as length_batches
from nlp_transfer.types import IGNORED as IGNORED

_POOL = 50
"""Batches that are sorted by length together: padding falls to a few percent, and the pool is still a random draw."""


CONTINUED = -101
"""The label id of a window that continues the row of the window before it; of labels that are numbers: infinity."""


def continuing(label: Any) -> Any:
    """The value in place of `label` in a window that continues a row."""
    if isinstance(label, Sequence):
        return [math.inf] * len(label)
    return math.inf if isinstance(label, float) else CONTINUED


def continues(labels: torch.Tensor) -> torch.Tensor:
    """Which features continue the row of the one before, `(batch,)`; labels are `(batch,)` or `(batch, labels)`."""
    if not labels.is_floating_point():
        return labels == CONTINUED
    return labels.isinf() if labels.ndim == 1 else labels[:, 0].isinf()


def unlabelled(labels: torch.Tensor) -> torch.Tensor:
    """Labels of the same shape of which none is scored: `IGNORED`, or NaN where labels are numbers."""
    return torch.full_like(labels, math.nan if labels.is_floating_point() else IGNORED)


def epoch_batches(
    lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int, epoch: int, chances: np.ndarray | None = None
) -> Iterator[list[int]]:
    """Every row once, in batches of similar length and random order; a function of `seed` and `epoch` alone.

    Rows are shuffled, cut into pools of 50 batches, sorted by length inside a pool, cut into batches, and the
    batches are shuffled. Which rows meet in a batch is random up to their length. `batch_size` is the global one, so
    the result does not depend on the number of processes. The last batch may be smaller. With `chances`, as
    many rows are drawn, one by one, each with its own chance `(rows,)`.
    """
    generator = np.random.default_rng((seed, epoch))
    rows = len(lengths)
    order = generator.permutation(rows) if chances is None else generator.choice(rows, rows, p=chances)
    sizes = np.asarray(lengths)
    for start in range(0, len(order), _POOL * batch_size):
        pool = order[start : start + _POOL * batch_size]
        order[start : start + _POOL * batch_size] = pool[np.argsort(sizes[pool], kind="stable")]
    # A pool is a whole number of batches, but for the last pool, so batches follow from their places alone.
    for i in generator.permutation(math.ceil(len(order) / batch_size)):
        yield order[i * batch_size : (i + 1) * batch_size].tolist()


def shares(batch: Sequence[int], processes: int, micro_batches: int) -> list[list[list[int]]]:
    """A global batch split among processes: `[process][micro-batch]` lists of rows, as even as can be, some empty.

    Consecutive rows stay together: they are of similar length.
    """
    parts = np.array_split(np.asarray(batch, dtype=int), processes * micro_batches)
    lists = [part.tolist() for part in parts]
    return [lists[p * micro_batches : (p + 1) * micro_batches] for p in range(processes)]


def collate(features: Mapping[str, Sequence[Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Features as tensors: `input_ids` and `attention_mask` `(batch, longest)`, token types and `labels` if there.

    Labels are `(batch,)`, `(batch, labels)` where a row has several, or `(batch, longest)` where each token has one;
    what is padding in these is `IGNORED`.
    """
    ids = features["input_ids"]
    lengths = torch.tensor([len(row) for row in ids])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    batch = {"input_ids": _pad(ids, mask, pad_id), "attention_mask": mask.long()}
    if "token_type_ids" in features:
        batch["token_type_ids"] = _pad(features["token_type_ids"], mask, 0)
    if "labels" in features:
        batch["labels"] = collate_labels(features["labels"], mask)
    return batch


def collate_labels(labels: Sequence[Any], mask: torch.Tensor) -> torch.Tensor:
    """Labels of features as `collate` gives them, where `mask` `(batch, longest)` is True at real tokens."""
    first = labels[0]
    are_of_tokens = isinstance(first, Sequence) and not (first and isinstance(first[0], float))
    return _pad(labels, mask, IGNORED) if are_of_tokens else torch.tensor(labels)


def _pad(rows: Sequence[Sequence[int]], mask: torch.Tensor, value: int) -> torch.Tensor:
    padded = torch.full(mask.shape, value)
    padded[mask] = torch.tensor([token for row in rows for token in row])
    return padded
