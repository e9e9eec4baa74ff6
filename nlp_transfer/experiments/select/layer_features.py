"""The features that each layer of an encoder gives for each text or word."""

from __future__ import annotations

import numpy as np
import torch
from accelerate import Accelerator

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions
from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.inputs import Inputs, TokenInputs
from nlp_transfer.encoders.pooling.pooled_network import pool
from nlp_transfer.errors import ModelError
from nlp_transfer.models.transfer_model import TransferModel

_BATCH = 64  # rows whose states are read at a time


def features_by_layer(
    model: TransferModel,
    inputs: TokenInputs,
    kept: np.ndarray,
    accelerator: Accelerator,
    cache: CacheOptions | None = None,
) -> dict[int, np.ndarray]:
    """The features of the `kept` texts or words at each layer, `{layer: (kept, width)}`, layers counted from 1.

    The encoder runs once; its activations are cached on disk as `cache` says. A text's features are the mean of its
    tokens' states, at every layer: the first token holds little where no head was ever trained on it, and a pooler was
    pretrained for another end (a probe of MiniLM on TREC: 43% through the pooler, 80% on the mean). A word's are the
    state of its first subword, as in `--strategy features`. `kept` is a mask of the texts, or of the words of all
    sentences. Layers at which the network cannot be taken apart are left out; where that is the last one, ModelError.
    """
    encoder = model.encoder
    encoder.freeze(encoder.depth)
    model.network.to(accelerator.device)
    frozen = FrozenLayers(encoder, accelerator, cache)
    layers = [encoder.depth] if encoder.shares_layers else list(range(1, encoder.depth + 1))
    frozen.run([inputs], layers)
    features = {}
    for layer in layers:
        with frozen.truncated(layer) as feed:
            if (fed := feed(inputs)) is not inputs:
                features[layer] = _vectors(fed)[kept]
    if encoder.depth not in features:
        raise ModelError(f"the layers of {encoder.family} cannot be run without its head, so they cannot be compared.")
    return features


def _vectors(inputs: Inputs) -> np.ndarray:
    """A vector of each text, or of each word, in their order."""
    parts = []
    for start in range(0, len(inputs.lengths), _BATCH):
        batch = inputs.batch(range(start, min(start + _BATCH, len(inputs.lengths))))
        states, labels = batch["inputs_embeds"], batch["labels"]
        of_texts = labels.ndim == 1
        vectors = pool(states, batch["attention_mask"], "mean") if of_texts else states[labels != IGNORED]
        parts.append(vectors.to(torch.float32).cpu().numpy())
    return np.concatenate(parts)
