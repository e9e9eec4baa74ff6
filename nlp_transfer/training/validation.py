"""Logits of validation rows, and the head calibrated on them."""

from __future__ import annotations

import numpy as np
from accelerate import Accelerator

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions, TrainingOptions
from nlp_transfer.data.inputs import Inputs, TokenInputs
from nlp_transfer.data.rows import Rows
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel


def calibrate(
    model: TransferModel,
    inputs: TokenInputs,
    rows: Rows,
    options: TrainingOptions,
    accelerator: Accelerator,
    cache: CacheOptions | None,
) -> None:
    """Fit the temperature or the thresholds of the head, where it has any, to the validation rows."""
    if not model.head.is_tuned:
        return
    frozen, depth = FrozenLayers(model.encoder, accelerator, cache), model.encoder.frozen_layers
    if depth:
        frozen.run([inputs], [depth])
    with frozen.truncated(depth) as inputs_of:
        logits = logits_of(model, inputs_of(inputs), options, accelerator)
    model.head.tune(logits, rows.data[:])


def logits_of(
    model: TransferModel, inputs: Inputs, options: TrainingOptions, accelerator: Accelerator
) -> list[np.ndarray]:
    """Logits of each row, `(items, labels)`, on every process."""
    # Not the wrapped network: processes may have different numbers of batches, and DistributedDataParallel would wait.
    return infer(
        model.network,
        model.head,
        inputs,
        batch_size=options.per_device_eval_batch_size,
        accelerator=accelerator,
        progress="validation",
    )
