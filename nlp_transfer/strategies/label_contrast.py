"""What `few_shot` trains: an encoder moved by contrast with label texts, and a head fitted to its vectors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_transfer.data.batch import IGNORED, collate, length_batches
from nlp_transfer.data.inputs import Inputs, moved
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier, pool
from nlp_transfer.errors import OptionError
from nlp_transfer.few_labels.contrast import contrastive_loss
from nlp_transfer.few_labels.label_head import LabelHead, LabelVectors, fit_label_head
from nlp_transfer.few_labels.label_texts import label_texts
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.feature_extraction import build_network
from nlp_transfer.strategies.strategy import Part

log = logging.getLogger(__name__)

_TEMPERATURE = 0.1  # of the contrast
_MOST_TEXTS = 64  # label texts in a step
_BATCH = 64  # rows whose vectors are computed at a time


class LabelContrast:
    """The label texts of a run with `few_shot`, and the module that trains.

    Raises OptionError as `FewShot` says.
    """

    def __init__(self, model: TransferModel, labels_file: str | Path | None, seed: int) -> None:
        head, described = model.head, model.head.described
        if not described:
            raise OptionError(
                f"--strategy few_shot begins with what labels mean, and numbers have no labels ({head.title}); take "
                f"--strategy features."
            )
        texts = label_texts(described, labels_file)
        head.require_features("logistic", "few_shot")
        build_network(model, "logistic", normalise=True)
        self.labels_words = head.labels_words
        model.network.requires_grad_(True)  # what is fitted to words is where their fine-tuning begins
        self._seed = seed
        self._texts = _LabelTexts(model, [(described[name], text) for name in texts for text in texts[name]])
        self.trained: nn.Module = model.network if self.labels_words else _RowsAndTexts(model.network)

    def loss(self, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part, count: int) -> Tensor:
        """The share of a part of a step in its contrastive loss: its rows and label texts, of `count` labels."""
        members = labels if labels.ndim == 2 else F.one_hot(labels, count)
        texts, of_texts = self._texts.drawn(members, (self._seed, part.step, part.index))
        vectors = module(batch, texts)
        loss = contrastive_loss(vectors, torch.cat([members, of_texts.to(members)]), _TEMPERATURE)
        return loss * len(labels) / part.rows

    def fit_head(self, model: TransferModel, train: Inputs) -> None:
        """Fit the last layer to the vectors of the training rows; one process fits, and the others take its result."""
        state = PartialState()
        fitted: list[Any] = [self._fitted(model, train) if state.is_main_process else None]
        if state.num_processes > 1:
            broadcast_object_list(fitted)
        with torch.no_grad():
            for parameter, value in zip(model.network.classifier.parameters(), fitted[0], strict=True):
                parameter.copy_(torch.from_numpy(value))

    def _fitted(self, model: TransferModel, train: Inputs) -> tuple[np.ndarray, np.ndarray]:
        count = len(model.head.labels)
        vectors, labels = _vectors(model.network, train)
        texts = self._texts.vectors(model.network)
        head = fit_label_head(vectors, labels, count, texts, is_balanced=not self.labels_words)
        _log_head(head, labels, "words" if self.labels_words else "rows")
        return head.weight, head.bias


class _LabelTexts:
    """The texts of labels, encoded; `drawn` for a step, or the vector of each."""

    def __init__(self, model: TransferModel, texts: list[tuple[tuple[int, ...], str]]) -> None:
        head = model.head
        self._pad_id = model.pad_id
        texts = [] if head.pairs else texts  # no text can be one of two
        self._labels = [labels for labels, _ in texts]
        self._members = torch.zeros(len(texts), len(head.labels))
        for place, labels in enumerate(self._labels):
            self._members[place, list(labels)] = 1
        rows = head.columns_of([text for _, text in texts])
        encoded = head.encode(rows, model.tokenizer, model.max_length) if texts else {"row": []}
        firsts = [encoded["row"].index(place) for place in range(len(texts))]
        names = ("input_ids", "token_type_ids")
        self._encoded = [{name: encoded[name][first] for name in names if name in encoded} for first in firsts]

    def drawn(self, members: Tensor, seed: tuple[int, ...]) -> tuple[dict[str, Tensor] | None, Tensor]:
        """A batch of texts, and `(texts, labels)` of what they stand for; if they are many, some drawn by `seed`.

        Those of labels that rows have come first: `members` is `(rows, labels)`.
        """
        places = np.arange(len(self._encoded))
        if len(places) > _MOST_TEXTS:
            is_there = (self._members @ members.float().cpu().amax(dim=0)).numpy() > 0
            order = np.random.default_rng(seed).permutation(len(places))
            places = np.sort(order[np.argsort(~is_there[order], kind="stable")][:_MOST_TEXTS])
        if not len(places):
            return None, self._members.to(members.device)
        return moved(self._batch(places), members.device), self._members[places].to(members.device)

    def vectors(self, network: PreTrainedModel) -> LabelVectors | None:
        """The vectors of all texts, once for each label that they stand for; None where there are none."""
        if not self._encoded:
            return None
        parts = []
        with torch.inference_mode(), _evaluating(network):
            for places in np.array_split(np.arange(len(self._encoded)), -(-len(self._encoded) // _BATCH)):
                batch = moved(self._batch(places), network.device)
                if isinstance(network, PooledClassifier):
                    parts.append(_array(network.vectors(**batch)))
                else:
                    parts.append(_array(pool(_states(network, batch), batch["attention_mask"], "mean")))
        each = [(place, label) for place, labels in enumerate(self._labels) for label in labels]
        places, ids = np.array(each).T
        return LabelVectors(np.concatenate(parts)[places], ids)

    def _batch(self, places: np.ndarray) -> dict[str, Tensor]:
        chosen = [self._encoded[place] for place in places]
        return collate({name: [text[name] for text in chosen] for name in chosen[0]}, self._pad_id)


class _RowsAndTexts(nn.Module):
    """The vectors of rows and then of label texts, in one forward pass: DistributedDataParallel counts one a step."""

    def __init__(self, network: PooledClassifier) -> None:
        super().__init__()
        self.backbone = network.backbone
        self._vectors = network.vectors  # the network without its last layer, which no step trains

    def forward(self, rows: dict[str, Tensor], texts: dict[str, Tensor] | None) -> Tensor:
        return torch.cat([self._vectors(**batch) for batch in (rows, texts) if batch])


@torch.inference_mode()
def _vectors(network: PreTrainedModel, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Vectors `(items, width)` of the labelled texts or words, and their labels `(items, ...)`."""
    vectors, labels = [], []
    with _evaluating(network):
        for places in length_batches(inputs.lengths, _BATCH):
            batch = moved(inputs.batch(places.tolist()), network.device)
            of_items = batch.pop("labels")
            if isinstance(network, PooledClassifier):
                vectors.append(_array(network.vectors(**batch)))
            else:
                is_labelled = of_items != IGNORED
                vectors.append(_array(_states(network, batch)[is_labelled]))
                of_items = of_items[is_labelled]
            labels.append(of_items.cpu().numpy())
    return np.concatenate(vectors), np.concatenate(labels)


def _states(network: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """What the last layer of a stock tagger reads, `(batch, tokens, width)`."""
    between = getattr(network, "head", nn.Identity())  # ModernBERT's
    return between(network.base_model(**batch).last_hidden_state)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _log_head(head: LabelHead, labels: np.ndarray, what: str) -> None:
    right = (
        f"{100 * (head.held_out.argmax(axis=1) == labels).mean():.1f}% right with each left out of this fit, "
        if labels.ndim == 1
        else ""
    )
    log.info(
        "Head fitted to %s %s (%slabel texts count for %g rows each).", f"{len(labels):,}", what, right, head.prior
    )
