"""What is a network fed with, a batch at a time?"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Dataset
from torch import Tensor

from nlp_transfer.data.batch import IGNORED, collate, collate_labels
from nlp_transfer.data.store import forget_pages

_SLICE = 10_000  # rows whose columns are looked at together
Item = TypeVar("Item")


class Inputs(Protocol):
    """Encoded rows that a network can be fed with: as token ids, or as what its lower layers made of them."""

    features: Dataset
    """What `TaskHead.encode` gave."""

    lengths: np.ndarray
    """Tokens of each feature, `(features,)`."""

    runs_network: bool = False
    """Whether the network itself makes the batches, so that none can be made while it does something else."""

    def batch(self, places: Sequence[int]) -> dict[str, Tensor]:
        """The network's keyword arguments for the features at `places`, and `labels` where the features have them."""


class TokenInputs(Inputs):
    """Features as token ids: `input_ids` and `attention_mask`, `(batch, longest)`."""

    def __init__(self, features: Dataset, pad_id: int) -> None:
        self.features = features
        self.pad_id = pad_id
        self.lengths = _joined(pc.list_value_length(part).to_numpy(zero_copy_only=False) for part in self.columns())

    def batch(self, places: Sequence[int]) -> dict[str, Tensor]:
        rows = self.features[list(places)]
        forget_pages()  # each row has brought its neighbours with it
        return collate(rows, self.pad_id)

    def columns(self, name: str = "input_ids") -> Iterator[pa.Array]:
        """A column, some thousand rows at a time: what is read at once does not grow with the rows."""
        arrow = self.features.with_format("arrow")
        for start in range(0, len(self.features), _SLICE):
            yield arrow[start : start + _SLICE][name].combine_chunks()
            forget_pages()

    def mask(self, places: Sequence[int]) -> Tensor:
        """True at real tokens, `(batch, longest)`."""
        lengths = torch.from_numpy(self.lengths[list(places)])
        return torch.arange(int(lengths.max())) < lengths[:, None]

    def labels(self, places: Sequence[int], mask: Tensor) -> dict[str, Tensor]:
        """`labels` as `batch` has them, padded to `mask`; nothing where the features have none."""
        if "labels" not in self.features.column_names:
            return {}
        if self._one_label_each is not None:
            return {"labels": self._one_label_each[list(places)].long()}
        return {"labels": collate_labels(self.features[list(places)]["labels"], mask)}

    @cached_property
    def labelled(self) -> np.ndarray:
        """How many items of each feature have a label, `(features,)`: one, or the first subwords of its words."""
        return _joined(_count_labelled(part) for part in self.columns("labels"))

    @cached_property
    def _one_label_each(self) -> Tensor | None:
        # The label ids, `(features,)`, where a feature has one and not one for each token.
        if pa.types.is_list(self.features.features.arrow_schema.field("labels").type):
            return None
        return torch.from_numpy(_joined(part.to_numpy(zero_copy_only=False) for part in self.columns("labels")))


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """The items of an iterator, the next one being made in a thread while one is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def pinned(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch in memory from which it can go to `device` while other things are done there."""
    return {name: tensor.pin_memory() for name, tensor in batch.items()} if device.type == "cuda" else batch


def moved(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch on `device`; nobody waits until it has arrived."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    none = np.zeros(0, np.int32)  # numbers of a row each stay small, and there may be millions of rows
    return np.concatenate([none, *(part.astype(np.int32) for part in parts)])


def _count_labelled(labels: pa.Array) -> np.ndarray:
    if not pa.types.is_list(labels.type):
        return np.ones(len(labels), dtype=np.int64)
    is_labelled = labels.flatten().to_numpy(zero_copy_only=False) != IGNORED
    counts = pc.list_value_length(labels).to_numpy(zero_copy_only=False)
    return np.bincount(np.repeat(np.arange(len(labels)), counts), weights=is_labelled, minlength=len(labels))
