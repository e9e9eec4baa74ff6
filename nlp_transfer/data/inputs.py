"""Encoded rows, in the batches that a network takes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Dataset
from torch import Tensor

from nlp_transfer.data.batch import CONTINUED, IGNORED, collate, collate_labels
from nlp_transfer.data.row_store import forget_pages

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
    """Features as token ids: `input_ids` and `attention_mask`, `(batch, longest)`, and token types where there are."""

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
            return {"labels": self._one_label_each[list(places)]}
        return {"labels": collate_labels(self.features[list(places)]["labels"], mask)}

    @cached_property
    def labelled(self) -> np.ndarray:
        """How many items of each feature have a label, `(features,)`: one, or the first subwords of its words."""
        return _joined(_count_labelled(part) for part in self.columns("labels"))

    @cached_property
    def firsts(self) -> np.ndarray:
        """The feature that begins each training row, `(rows,)`; only windows whose logits are pooled continue one."""
        if self._one_label_each is None and not self._has_numbers_each:
            return np.arange(len(self.lengths))
        return np.flatnonzero(_joined(_begins(part) for part in self.columns("labels")))

    @property
    def balanced_chances(self) -> np.ndarray:
        """The chance of each training row, `(rows,)`, if a label is drawn first, and then a row that has it.

        Every label has the same chance (class-balanced sampling; Kang et al. 2020, "Decoupling representation and
        classifier for long-tailed recognition", section 3). Where rows have several, to have none is one label more.
        """
        if self._one_label_each is not None:
            labels = self._one_label_each.numpy()[self.firsts]
            there = labels[:, None] == np.unique(labels)
        else:
            there = np.array([row for part in self.columns("labels") for row in part.to_pylist()])[self.firsts] > 0.5
            there = np.column_stack([there, ~there.any(axis=1)])
        counts = there.sum(axis=0)
        return (there[:, counts > 0] / counts[counts > 0]).sum(axis=1) / np.count_nonzero(counts)

    @cached_property
    def _one_label_each(self) -> Tensor | None:
        # The label ids, or numbers, `(features,)`, where a feature has one and not one for each token.
        kind = self._kind_of_labels
        if pa.types.is_list(kind):
            return None
        parts = (part.to_numpy(zero_copy_only=False) for part in self.columns("labels"))
        if pa.types.is_floating(kind):
            return torch.from_numpy(np.concatenate([np.zeros(0), *parts])).float()
        return torch.from_numpy(_joined(parts)).long()

    @property
    def _has_numbers_each(self) -> bool:
        # Whether a feature has a number for each label.
        return pa.types.is_list(self._kind_of_labels) and pa.types.is_floating(self._kind_of_labels.value_type)

    @property
    def _kind_of_labels(self) -> Any:
        return self.features.features.arrow_schema.field("labels").type


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """The items of an iterator, the next one prefetched in a thread while one is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def pinned(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch in pinned memory, from which it is copied to a CUDA `device` asynchronously."""
    return {name: tensor.pin_memory() for name, tensor in batch.items()} if device.type == "cuda" else batch


def moved(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch on `device`, copied asynchronously."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    none = np.zeros(0, np.int32)  # numbers of a row each stay small, and there may be millions of rows
    return np.concatenate([none, *(part.astype(np.int32) for part in parts)])


def _begins(labels: pa.Array) -> np.ndarray:
    """1 for features that begin a row, 0 for windows that continue one (`batch.continues`)."""
    if not pa.types.is_list(labels.type):
        values = labels.to_numpy(zero_copy_only=False)
        return ~np.isinf(values) if pa.types.is_floating(labels.type) else values != CONTINUED
    return ~np.isinf(pc.list_element(labels, 0).to_numpy(zero_copy_only=False))


def _count_labelled(labels: pa.Array) -> np.ndarray:
    if not pa.types.is_list(labels.type) or pa.types.is_floating(labels.type.value_type):
        return _begins(labels)
    is_labelled = labels.flatten().to_numpy(zero_copy_only=False) != IGNORED
    counts = pc.list_value_length(labels).to_numpy(zero_copy_only=False)
    return np.bincount(np.repeat(np.arange(len(labels)), counts), weights=is_labelled, minlength=len(labels))
