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
from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.pooling.pooled_config import PooledConfig
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier
from nlp_transfer.encoders.sklearn_head.decisions import linear_layer
from nlp_transfer.encoders.sklearn_head.fitting import (
    CLASSIFIERS,
    LINEAR,
    Fitted,
    fit_classifier,
    fit_ridge,
    fit_several,
)
from nlp_transfer.encoders.sklearn_head.sklearn_config import ShallowConfig
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.encoders.sklearn_head.sklearn_storage import require_skops
from nlp_transfer.errors import ModelError, OptionError, UserError
from nlp_transfer.heads import MultiLabelHead, NERHead, RegressionHead, TextHead
from nlp_transfer.heads.task_head import TaskHead, label_options
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.strategy import Stage, Strategy

log = logging.getLogger(__name__)

_BATCH = 64  # rows whose features are read at a time


@dataclass
class Features(Strategy):
    """Feature extraction: one vector of each text, or of each word, and a classifier that is fitted to all at once.

    A text's vector is pooled as the head says, `native` meaning `mean`; a word's is the state of its first subword.
    A linear classifier ends as the last layer of an ordinary network, any other in a `ShallowClassifier`. Several
    labels of a text are fitted one by one, by a linear classifier, and a number by ridge regression.

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
        if isinstance(head, TextHead):
            _require_a_fit(head, self.classifier)
            shape |= {"pooling": head.pooling, "problem_type": head.problem_type}
        elif is_linear:  # a stock network it is, and stays
            _require_linear(model)
            return
        else:
            shape["pooling"] = "tokens"
        if is_linear:
            model.network = PooledClassifier(PooledConfig(**shape), base)
            model.head.adjust(model.network)
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
            try:
                fitted = [self._fit(model.head, *features_of(model, train))]
            except UserError as error:  # which the other processes wait to hear of
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

    def _fit(self, head: TaskHead, features: np.ndarray, labels: np.ndarray) -> Fitted | tuple[np.ndarray, np.ndarray]:
        """What is fitted; of what is linear the weight and the bias of the last layer."""
        weights = _class_weights(head)
        if isinstance(head, RegressionHead):
            return fit_ridge(features, labels)
        if isinstance(head, MultiLabelHead):
            return fit_several(self.classifier, features, labels, self._seed, weights)
        fitted = fit_classifier(self.classifier, features, labels, self._seed, weights, _outside(head))
        return linear_layer(*fitted, len(head.labels)) if self.classifier in LINEAR else fitted


def require_plain(head: TaskHead) -> None:
    """OptionError for what a head has that is trained by steps, besides labels."""
    if not isinstance(head, TextHead):
        return
    for option, is_given in (
        ("hidden", head.hidden), ("dropout", head.dropout is not None),
        ("label_smoothing", getattr(head, "label_smoothing", 0)), ("long_texts", head.long_texts == "window"),
        ("loss", getattr(head, "loss_name", "cross_entropy") != "cross_entropy"),
    ):  # fmt: skip
        if is_given:
            raise OptionError(
                f"--{option} has no meaning with --strategy features, whose classifier is not trained by steps; leave "
                f"it out, or take --strategy freeze."
            )


def _plain(head: TaskHead) -> TaskHead:
    """A head of labels alone, its pooling named. OptionError as above."""
    require_plain(head)
    if not isinstance(head, TextHead) or head.pooling != "native":
        return head
    log.info("The features of a text are the mean of its tokens' states (--pooling mean).")
    return type(head)(**head.options() | {"pooling": "mean"})


def _require_a_fit(head: TextHead, classifier: str) -> None:
    """OptionError for a classifier that does not fit what the head learns."""
    if isinstance(head, MultiLabelHead) and classifier not in LINEAR:
        raise OptionError(
            f"--classifier {classifier} gives a text one label; for several labels take {' or '.join(LINEAR)}."
        )
    if isinstance(head, RegressionHead):
        if classifier != LINEAR[0]:  # the default
            raise OptionError(
                f"--classifier {classifier} is for labels; leave it out, and a number is fitted by ridge."
            )
        log.info("A number is fitted by ridge regression.")


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
                raise ModelError(f"{model.encoder.family} does not give its states alone; take --strategy freeze.")
            states = batch["inputs_embeds"]
            of_texts = batch["labels"].is_floating_point() or batch["labels"].ndim == 1
            is_labelled = torch.ones(len(states), dtype=torch.bool) if of_texts else batch["labels"] != IGNORED
            vectors = states[:, 0] if of_texts else states[is_labelled]
            parts.append(between(vectors.to(next(between.parameters(), vectors).device)).float().cpu().numpy())
            labels.append(batch["labels"][is_labelled].numpy())
    return np.concatenate(parts), np.concatenate(labels)


def _class_weights(head: TaskHead) -> dict[int, float]:
    """Those of a head that has any, by label id."""
    return {head.labels.id(name): weight for name, weight in getattr(head, "class_weights", {}).items()}


def _outside(head: TaskHead) -> int | None:
    """The label id of words in no entity, where labels are tags."""
    return head.labels.id("O") if isinstance(head, NERHead) else None
