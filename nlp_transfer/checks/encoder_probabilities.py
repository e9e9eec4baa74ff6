"""Features and label probabilities of rows by an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import concatenate_datasets

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding.probabilities import softmax
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.heads.registry import head_of_rows
from nlp_transfer.heads.task_head import TaskHead
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Features
from nlp_transfer.strategies.feature_extraction import features_of
from nlp_transfer.system import hardware
from nlp_transfer.system.cli import quiet
from nlp_transfer.training.loop import fit

_BATCH = 32  # rows a step, with which the learning rates of the strategies were tuned


def features_and_labels(
    splits: Splits, options: ModelOptions, cache: CacheOptions | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features `(items, width)` and label names `(items,)` of the texts, or of the words, of all splits in their order.

    Activations of the layers are computed once for each row and cached on disk as `cache` says.
    """
    head, splits = head_of_rows(splits) if splits.are_tagged else (_text_head(splits), splits)
    there = _there(splits)
    model = TransferModel.from_options(replace(options, keep_head=False), head)
    Features().setup(model, seed)
    model.encoder.freeze(model.encoder.depth)
    accelerator = _accelerator(model)
    model.network.to(accelerator.device)
    frozen = FrozenLayers(model.encoder, accelerator, cache)
    inputs = [TokenInputs(model.encode(rows.data), model.pad_id) for rows in there]
    frozen.run(inputs, [model.encoder.depth])
    with frozen.truncated(model.encoder.depth) as feed:
        parts = [features_of(model, feed(rows)) for rows in inputs]
    features, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
    return features, np.array(model.head.labels.names)[ids]


def trained_chances(splits: Splits, options: ModelOptions, seeds: Sequence[int]) -> np.ndarray:
    """Probabilities `(rows, labels)` of networks that have seen every row of all splits once, labels in their order.

    A network learns what many rows have in common before it learns single rows by heart (Arpit et al. 2017, "A closer
    look at memorization in deep networks"), so after one epoch it still doubts labels that are wrong, its own training
    rows' too; trained in folds, it would know less. The mean over networks of several seeds.
    """
    rows = _joined(splits)
    probabilities = []
    for seed in seeds:
        set_seed(seed)
        model = TransferModel.from_options(replace(options, keep_head=False), _text_head(splits))
        accelerator = _accelerator(model)
        # Fixed, as what counts as doubt was measured with them.
        training = TrainingOptions(
            num_train_epochs=1, per_device_train_batch_size=_BATCH, seed=seed, defaults="fixed"
        )  # fmt: skip
        with quiet():
            fit(model, Splits(rows, None, None), training, accelerator)
        inputs = TokenInputs(model.encode(rows.data), model.pad_id)
        precision = accelerator.mixed_precision
        outputs = infer(model.network, model.head, inputs, accelerator=accelerator, precision=precision)
        probabilities.append(softmax(np.concatenate(outputs)))
    return np.mean(probabilities, axis=0)


def _there(splits: Splits) -> list[Rows]:
    return [rows for rows in (splits.train, splits.validation, splits.test) if rows is not None]


def _joined(splits: Splits) -> Rows:
    """The rows of all splits as one."""
    there = _there(splits)
    return replace(there[0], data=concatenate_datasets([rows.data for rows in there]))


def _text_head(splits: Splits) -> TaskHead:
    """The head for the labels of all splits, not of train alone."""
    return head_of_rows(Splits(_joined(splits), None, None), pooling="mean")[0]


def _accelerator(model: TransferModel) -> Accelerator:
    precision = precision_for(model.encoder.family, "auto")
    try:
        return Accelerator(cpu=hardware.is_cpu_only(), mixed_precision=precision)
    except ValueError:  # a run before this one has chosen another precision, which holds for the whole process
        return Accelerator(cpu=hardware.is_cpu_only())
