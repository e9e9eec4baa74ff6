"""The encoder stays as it was pretrained, and a classifier of scikit-learn is fitted to what it gives."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from nlp_transfer.data.batch import IGNORED
from nlp_transfer.data.inputs import Inputs
from nlp_transfer.encoder import Encoder
from nlp_transfer.errors import ModelError, OptionError, UserError
from nlp_transfer.heads import NERHead, TextClassificationHead
from nlp_transfer.heads.base import TaskHead, label_options
from nlp_transfer.model import TransferModel
from nlp_transfer.pooling.config import PooledConfig
from nlp_transfer.pooling.network import PooledClassifier
from nlp_transfer.shallow.config import ShallowConfig
from nlp_transfer.shallow.decisions import linear_layer
from nlp_transfer.shallow.fitting import CLASSIFIERS, LINEAR, fit_classifier
from nlp_transfer.shallow.network import ShallowClassifier
from nlp_transfer.shallow.storage import require_skops
from nlp_transfer.strategies.base import Stage, Strategy

log = logging.getLogger(__name__)

_BATCH = 64  # rows whose features are read at a time


@dataclass
class Features(Strategy):
    """Feature extraction: one vector of each text, or of each word, and a classifier that is fitted to all at once.

    A text's vector is pooled as the head says, `native` meaning `mean`; a word's is the state of its first subword.
    A linear classifier ends as the last layer of an ordinary network, any other in a `ShallowClassifier`.

    >>> nt.fit(model, splits, strategy=nt.strategies.Features(classifier="svm"))

    Args:
        classifier: logistic, linear_svm, svm (with an RBF kernel), random_forest or knn. Its regularisation is chosen
            by cross-validation on the training rows.

    Raises:
        OptionError: an unknown classifier, an option of the head that nothing here heeds, or skops not installed.
        ModelError: a linear classifier for an encoder whose family tags words by more than a linear layer.
    """

    name: ClassVar[str] = "features"

    classifier: str = "logistic"

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            near = difflib.get_close_matches(self.classifier, CLASSIFIERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(CLASSIFIERS)}."
            raise OptionError(f"--classifier {self.classifier} is unknown{hint}")

    def setup(self, model: TransferModel, seed: int) -> None:
        self._seed = seed
        is_linear = self.classifier in LINEAR
        if not is_linear:
            require_skops()
        model.head = head = _plain(model.head)
        base = model.encoder.base
        shape: dict[str, Any] = {"encoder_config": model.encoder.config.to_dict(), **label_options(head.labels)}
        if isinstance(head, TextClassificationHead):
            shape |= {"pooling": head.pooling, "problem_type": "single_label_classification"}
        elif is_linear:  # a stock network it is, and stays
            _require_linear(model)
            return
        else:
            shape["pooling"] = "tokens"
        if is_linear:
            model.network = PooledClassifier(PooledConfig(**shape), base)
        else:
            model.network = ShallowClassifier(ShallowConfig(**shape), base)
        model.new_parameters = frozenset(
            n for n, p in model.network.named_parameters() if p.requires_grad and not n.startswith("backbone.")
        )

    def stages(self, encoder: Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        return [Stage(encoder.depth, 0, learning_rate)]

    def initialise(self, model: TransferModel, train: Inputs) -> None:
        state = PartialState()
        fitted: list[Any] = [None]
        if state.is_main_process:
            features, labels = features_of(model, train)
            weights, outside = _class_weights(model.head), _outside(model.head)
            try:
                fitted = [fit_classifier(self.classifier, features, labels, self._seed, weights, outside)]
            except UserError as error:  # which the other processes wait to hear of
                fitted = [error]
        if state.num_processes > 1:
            broadcast_object_list(fitted)
        if isinstance(fitted[0], UserError):
            raise fitted[0]
        classifier, scale = fitted[0]
        network = model.network
        with torch.no_grad():
            if isinstance(network, ShallowClassifier):
                network.classifier = classifier
                network.scale.fill_(scale)
            else:
                weight, bias = linear_layer(classifier, scale, len(model.head.labels))
                network.classifier.weight.copy_(torch.from_numpy(weight))
                network.classifier.bias.copy_(torch.from_numpy(bias))


def _plain(head: TaskHead) -> TaskHead:
    """A head of labels alone, its pooling named. OptionError for what a head that is trained by steps has besides."""
    if not isinstance(head, TextClassificationHead):
        return head
    for option, is_given in (
        ("hidden", head.hidden), ("dropout", head.dropout is not None), ("label_smoothing", head.label_smoothing)
    ):  # fmt: skip
        if is_given:
            raise OptionError(
                f"--{option} has no meaning with --strategy features, whose classifier is not trained by steps; leave "
                f"it out, or take --strategy freeze."
            )
    if head.pooling != "native":
        return head
    log.info("The features of a text are the mean of its tokens' states (--pooling mean).")
    return type(head)(**head.options() | {"pooling": "mean"})


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

    `inputs` are what `FrozenLayers.grafted` feeds, at the encoder's depth.
    """
    between = getattr(model.network, "head", nn.Identity()).eval()  # ModernBERT's
    parts, labels = [], []
    with torch.inference_mode():
        for start in range(0, len(inputs.lengths), _BATCH):
            batch = inputs.batch(range(start, min(start + _BATCH, len(inputs.lengths))))
            if "inputs_embeds" not in batch:
                raise ModelError(f"{model.encoder.family} does not give its states alone; take --strategy freeze.")
            states = batch["inputs_embeds"]
            is_labelled = batch["labels"] != IGNORED
            vectors = states[is_labelled] if is_labelled.ndim == 2 else states[is_labelled, 0]
            parts.append(between(vectors.to(next(between.parameters(), vectors).device)).float().cpu().numpy())
            labels.append(batch["labels"][is_labelled].numpy())
    return np.concatenate(parts), np.concatenate(labels)


def _class_weights(head: TaskHead) -> dict[int, float]:
    """Those of a head that has any, by label id."""
    return {head.labels.id(name): weight for name, weight in getattr(head, "class_weights", {}).items()}


def _outside(head: TaskHead) -> int | None:
    """The label id of words in no entity, where labels are tags."""
    return head.labels.id("O") if isinstance(head, NERHead) else None
