"""Sentence vectors: what an encoder gives for each text, pooled over its tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from nlp_transfer.data.batch import length_batches
from nlp_transfer.data.inputs import TokenInputs, moved
from nlp_transfer.encoders.pooling.pooled_network import pool
from nlp_transfer.encoders.precision import computing_in
from nlp_transfer.system.progress_bars import tqdm


def sentence_vectors(
    base: nn.Module,
    inputs: TokenInputs,
    pooling: str,
    *,
    batch_size: int = 32,
    progress: str | None = None,
    precision: str = "no",
) -> np.ndarray:
    """A vector of each row, `(rows, width)` in fp32: the last states of the encoder `base`, pooled.

    Windows of one row are averaged. Features of similar length share a batch. `progress` is the label of a bar, and
    `precision` that of the computation, both as in `infer`.
    """
    rows = np.array(inputs.features["row"])
    vectors: np.ndarray = np.zeros((int(rows.max(initial=-1)) + 1, base.config.hidden_size), np.float32)  # type: ignore[union-attr, arg-type]
    with computing_in(base, precision):
        for places, pooled in _pooled(base, inputs, pooling, batch_size, progress):
            np.add.at(vectors, rows[places], pooled.float().cpu().numpy())
    return vectors / np.bincount(rows, minlength=len(vectors))[:, None]


def _pooled(
    base: nn.Module, inputs: TokenInputs, pooling: str, batch_size: int, progress: str | None
) -> Iterator[tuple[np.ndarray, Tensor]]:
    device = next(base.parameters()).device
    batches = length_batches(inputs.lengths, batch_size)
    was_training = base.training
    base.eval()
    try:
        with torch.inference_mode():
            for places in tqdm(batches, desc=progress, unit="batch", leave=False, disable=None if progress else True):
                batch = inputs.batch(places.tolist())
                batch.pop("labels", None)
                batch = moved(batch, device)
                yield places, pool(base(**batch).last_hidden_state, batch["attention_mask"], pooling)
    finally:
        base.train(was_training)
