"""Which rows stand in which batch, and what does a batch look like?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

IGNORED = -100
"""The label id of a token or row that is not scored, as everywhere in transformers."""

_POOL = 50
"""Batches that are sorted by length together: padding falls to a few percent, and the pool is still a random draw."""


def epoch_batches(lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Every row once, in batches of similar length and random order; a function of `seed` and `epoch` alone.

    Rows are shuffled, cut into pools of 50 batches, sorted by length inside a pool, cut into batches, and the
    batches are shuffled. Which rows meet in a batch is random up to their length. `batch_size` is the global one, so
    what is learned does not depend on how many processes share it. The last batch may be smaller.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    sizes = np.asarray(lengths)
    for start in range(0, len(order), _POOL * batch_size):
        pool = order[start : start + _POOL * batch_size]
        order[start : start + _POOL * batch_size] = pool[np.argsort(sizes[pool], kind="stable")]
    # A pool is a whole number of batches, but for the last pool, so batches can be told from their places alone.
    for i in generator.permutation(math.ceil(len(order) / batch_size)):
        yield order[i * batch_size : (i + 1) * batch_size].tolist()


def shares(batch: Sequence[int], processes: int, micro_batches: int) -> list[list[list[int]]]:
    """A global batch dealt out: `[process][micro-batch]` lists of rows, sizes as even as can be, some may be empty.

    Consecutive rows stay together: they are of similar length.
    """
    parts = np.array_split(np.asarray(batch, dtype=int), processes * micro_batches)
    lists = [part.tolist() for part in parts]
    return [lists[p * micro_batches : (p + 1) * micro_batches] for p in range(processes)]


def length_batches(lengths: Sequence[int] | np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Every row once in batches of similar length, longest first (running out of memory shows at once)."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def collate(features: Mapping[str, Sequence[Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Features as tensors: `input_ids` and `attention_mask` `(batch, longest)`, and `labels` if they are there.

    Labels are `(batch,)`, or `(batch, longest)` where each token has one; what is padding in them is `IGNORED`.
    """
    ids = features["input_ids"]
    lengths = torch.tensor([len(row) for row in ids])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    batch = {"input_ids": _pad(ids, mask, pad_id), "attention_mask": mask.long()}
    if "labels" in features:
        batch["labels"] = collate_labels(features["labels"], mask)
    return batch


def collate_labels(labels: Sequence[Any], mask: torch.Tensor) -> torch.Tensor:
    """Labels of features as `collate` gives them, where `mask` `(batch, longest)` is True at real tokens."""
    return _pad(labels, mask, IGNORED) if isinstance(labels[0], Sequence) else torch.tensor(labels)


def _pad(rows: Sequence[Sequence[int]], mask: torch.Tensor, value: int) -> torch.Tensor:
    padded = torch.full(mask.shape, value)
    padded[mask] = torch.tensor([token for row in rows for token in row])
    return padded
