"""Extraction of features from a frozen encoder, and the fit of a classifier of scikit-learn to them."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.inputs import Inputs
from nlp_transfer.encoders.pooling.pooled_config import PooledConfig
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.encoders.sklearn_head.classifiers import LINEAR
from nlp_transfer.encoders.sklearn_head.sklearn_config import ShallowConfig
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.encoders.sklearn_head.sklearn_storage import require_skops
from nlp_transfer.errors import ModelError, UserError
from nlp_transfer.heads.task_head import label_options
from nlp_transfer.models.transfer_model import TransferModel

log = logging.getLogger(__name__)

_BATCH = 64  # rows whose features are read at a time


def build_network(model: TransferModel, classifier: str, *, normalise: bool = False) -> None:
    """Put a network in place whose last layer takes what is fitted: a linear layer, or a scikit-learn classifier.

    With `normalise` a linear layer takes vectors of texts that have length 1. Raises OptionError and ModelError as
    `Features` says.
    """
    is_linear = classifier in LINEAR
    if not is_linear:
        require_skops()
    model.head = head = model.head.for_features()
    base = model.encoder.base
    shape: dict[str, Any] = {"encoder_config": model.encoder.config.to_dict(), **label_options(head.labels)}
    if head.labels_words and is_linear:  # a stock network it is, and stays
        _require_linear(model)
        return
    shape |= head.feature_config()
    if is_linear:
        model.network = PooledClassifier(PooledConfig(**shape, normalise=normalise), base)
        model.head.adjust(model.network)
    else:
        model.network = ShallowClassifier(ShallowConfig(**shape), base)
    model.new_parameters = frozenset(
        n for n, p in model.network.named_parameters() if p.requires_grad and not n.startswith("backbone.")
    )


def fit_network(model: TransferModel, train: Inputs, classifier: str, seed: int) -> None:
    """Fit the last layer of what `build_network` has built; one process fits, and the others take its result."""
    state = PartialState()
    fitted: list[Any] = [None]
    if state.is_main_process:
        try:
            fitted = [model.head.fit_classifier(classifier, *features_of(model, train), seed)]
        except UserError as error:  # which the other processes wait for
            fitted = [error]
    if state.num_processes > 1:
        broadcast_object_list(fitted)
    if isinstance(fitted[0], UserError):
        raise fitted[0]
    network = model.network
    with torch.no_grad():
        if isinstance(network, ShallowClassifier):
            network.classifier = fitted[0].classifier
            network.scale.fill_(fitted[0].scale)
        else:
            weight, bias = fitted[0]
            network.classifier.weight.copy_(torch.from_numpy(weight))
            network.classifier.bias.copy_(torch.from_numpy(bias))


def _require_linear(model: TransferModel) -> None:
    network = model.network
    if not isinstance(getattr(network, "classifier", None), nn.Linear):
        raise ModelError(
            f"{model.encoder.family} does not tag words by one linear layer, which --classifier {' and '.join(LINEAR)} "
            f"would be written into; choose another classifier."
        )
    if any(name.startswith("head.") for name in model.new_parameters):
        # ModernBERT has a dense layer in between; where the checkpoint had none, it lets the states through.
        network.config.classifier_activation = "linear"
        network.head.act = nn.Identity()
        nn.init.eye_(network.head.dense.weight)
    if hasattr(network, "head"):
        network.head.requires_grad_(False)


def features_of(model: TransferModel, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Features `(items, width)` and label ids `(items,)` of the labelled texts or words, in their order.

    `inputs` are what `FrozenLayers.truncated` feeds, at the encoder's depth.
    """
    between = getattr(model.network, "head", nn.Identity()).eval()  # ModernBERT's
    parts, labels = [], []
    with torch.inference_mode():
        for start in range(0, len(inputs.lengths), _BATCH):
            batch = inputs.batch(range(start, min(start + _BATCH, len(inputs.lengths))))
            if "inputs_embeds" not in batch:
                raise ModelError(
                    f"the layers of {model.encoder.family} cannot be run without its head; take --strategy freeze."
                )
            states = batch["inputs_embeds"]
            of_texts = batch["labels"].is_floating_point() or batch["labels"].ndim == 1
            is_labelled = torch.ones(len(states), dtype=torch.bool) if of_texts else batch["labels"] != IGNORED
            vectors = states[:, 0] if of_texts else states[is_labelled]
            parts.append(between(vectors.to(next(between.parameters(), vectors).device)).float().cpu().numpy())
            labels.append(batch["labels"][is_labelled].numpy())
    return np.concatenate(parts), np.concatenate(labels)
