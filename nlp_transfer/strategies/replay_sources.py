"""Sources that `Replay` replays: their rows, the network that learns from them, its loss.

Not in replay.py, since that is loaded by `--help`, and this loads torch.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import MaskedLMOutput

from nlp_transfer.activations.truncation import TruncatedEncoder
from nlp_transfer.data.batch import IGNORED, collate, shares, unlabelled
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.row_store import slices, stored, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.source_rows import Kind, read_source
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.errors import ModelError
from nlp_transfer.heads import TaskHead
from nlp_transfer.heads.registry import head_of_rows
from nlp_transfer.heads.sentiment import are_scores
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.strategy import Part

log = logging.getLogger(__name__)

_POOL = 8  # times as many rows are drawn as a batch takes, of which a run of similar length is the batch
_MASKED = 0.15


def source_of(model: TransferModel, file: str, columns: tuple[str | None, str | None], seed: int) -> Source:
    """The source of a file, with the columns of text and label that are named; raw text where it has no labels."""
    rows, kind = read_source(file, *columns, beside_tags=model.head.labels_words)
    return RawSource(model, rows, seed) if kind == "text" else LabelledSource(model, rows, kind)


class TwoNetworks(nn.Module):
    """The target's network and the source's, in one forward pass: DistributedDataParallel counts one a step."""

    def __init__(self, target: nn.Module, source: nn.Module) -> None:
        super().__init__()
        self.target = target
        self.source = source

    def forward(self, target: dict[str, Tensor], source: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.target(**target).logits, self.source(**source).logits


class Source(ABC):
    """Rows of another task that the same encoder learns from.

    `network` shares the encoder of the target's network, and has a head of its own.
    """

    network: nn.Module
    inputs: TokenInputs

    def draw(self, rows: int, seed: int, step: int) -> list[int]:
        """The places of a global batch of so many rows, of similar length; a function of `seed` and `step` alone."""
        lengths = self.inputs.lengths
        generator = np.random.default_rng((seed, step))
        if rows >= len(lengths):
            return generator.choice(len(lengths), rows).tolist()
        batches = min(_POOL, len(lengths) // rows)
        pool = generator.choice(len(lengths), batches * rows, replace=False)
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        start = int(generator.integers(batches)) * rows
        return pool[start : start + rows].tolist()

    def part(self, part: Part, seed: int, device: torch.device) -> tuple[dict[str, Tensor], Tensor, int]:
        """The network's arguments and the labels for a part of a step, and how many labels the whole step has."""
        drawn = self.draw(part.rows, seed, part.step)
        mine = shares(drawn, 1, part.of)[0][part.index]
        tensors = {k: v.to(device) for k, v in self.batch(mine or drawn[:1], part.step).items()}
        labels = tensors.pop("labels")
        if not mine:  # as where a part of the target has no rows: the gradients of this one are all zeros
            labels = unlabelled(labels)
        return tensors, labels, self.labelled(drawn, part.step)

    @abstractmethod
    def batch(self, places: Sequence[int], step: int) -> dict[str, Tensor]:
        """The network's keyword arguments for the rows at `places`, and their `labels`."""

    @abstractmethod
    def labelled(self, places: Sequence[int], step: int) -> int:
        """How many items of these rows have a label."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, count: int) -> Tensor:
        """The loss summed over the batch and divided by `count`."""

    def release(self) -> None:  # noqa: B027
        """Undo what the network has changed in the encoder that it shares."""


class LabelledSource(Source):
    """Texts with labels, or sentences with tags, under a head of their own.

    >>> source = LabelledSource(model, rows, "labels")  # what read_source gave
    """

    def __init__(self, model: TransferModel, rows: Rows, kind: Kind) -> None:
        checkpoint = _checkpoint(model)
        rows, cut = (rows, "") if kind == "tags" else _cut(model.head, rows)
        self.head, splits = head_of_rows(Splits(rows, None, None), **model.head.shape())
        rows = splits.train
        network = self.head.build(checkpoint).network
        tokenizer = checkpoint.tokenizer(of_words=self.head.labels_words)
        source = TransferModel(network, self.head, tokenizer, model.max_length)
        self.inputs = TokenInputs(source.encode(rows.data), source.pad_id)
        self.network = network
        self._base, self._lent = model.encoder.base, _share(network, model.encoder.base)
        names = ", ".join(list(self.head.labels)[:8]) + " ..." * (len(self.head.labels) > 8)
        log.info("Source %s: %s rows, %d labels (%s%s).", rows.source, f"{len(rows.data):,}", len(self.head.labels),
                 names, cut)  # fmt: skip

    def batch(self, places: Sequence[int], step: int) -> dict[str, Tensor]:
        return self.inputs.batch(places)

    def labelled(self, places: Sequence[int], step: int) -> int:
        return int(self.inputs.labelled[list(places)].sum())

    def loss(self, logits: Tensor, labels: Tensor, count: int) -> Tensor:
        return self.head.loss(logits, labels, max(count, 1))

    def release(self) -> None:
        for name in self._lent:
            setattr(self._base, name, None)


class RawSource(Source):
    """Raw text under the masked-language-model loss (Devlin et al. 2019, section 3.1).

    Of each row 15% of the tokens are predicted, one at least: 80% of these are masked, 10% another token, 10% as they
    are. Which ones depends on the seed, the step and the row alone. The language-model head sees these tokens only.
    """

    def __init__(self, model: TransferModel, rows: Rows, seed: int) -> None:
        checkpoint = _checkpoint(model)
        self.seed = seed
        self.tokenizer = checkpoint.tokenizer()
        if self.tokenizer.mask_token_id is None:
            raise ModelError(
                f"{checkpoint.name} has no mask token, so raw text teaches it nothing; give labelled rows."
            )
        self.inputs = TokenInputs(_tokens(rows, self.tokenizer, model.max_length), model.pad_id)
        loaded = checkpoint.load(AutoModelForMaskedLM)
        base = loaded.network.base_model
        in_encoder = {id(p) for p in base.parameters()}
        own = {name for name, p in loaded.network.named_parameters() if id(p) not in in_encoder}
        self.network = _MaskedTokens(model.encoder.base, loaded.network)
        log.info("Source %s: %s texts, masked-language-model loss with %s head.", rows.source, f"{len(rows.data):,}",
                 "a new" if own & loaded.new else "the checkpoint's own")  # fmt: skip

    def batch(self, places: Sequence[int], step: int) -> dict[str, Tensor]:
        masked = [self._mask(place, ids, step) for place, ids in self._rows(places)]
        ids, labels = zip(*masked, strict=True)
        batch = collate({"input_ids": ids, "labels": labels}, self.inputs.pad_id)
        predicted = batch["labels"] != IGNORED
        return batch | {"predicted": predicted, "labels": batch["labels"][predicted]}

    def labelled(self, places: Sequence[int], step: int) -> int:
        return sum(self._count(np.asarray(ids)) for _, ids in self._rows(places))

    def loss(self, logits: Tensor, labels: Tensor, count: int) -> Tensor:
        loss = F.cross_entropy(logits.flatten(0, -2).float(), labels, ignore_index=IGNORED, reduction="sum")
        return loss / max(count, 1)

    def _rows(self, places: Sequence[int]) -> list[tuple[int, list[int]]]:
        return list(zip(places, self.inputs.features[list(places)]["input_ids"], strict=True))

    @cached_property
    def _special(self) -> np.ndarray:
        return np.array(self.tokenizer.all_special_ids)

    def _count(self, ids: np.ndarray) -> int:
        words = int((~np.isin(ids, self._special)).sum())
        return max(1, round(_MASKED * words)) if words else 0

    def _mask(self, place: int, row: list[int], step: int) -> tuple[list[int], list[int]]:
        ids = np.array(row)
        generator = np.random.default_rng((self.seed, step, place))
        words = np.flatnonzero(~np.isin(ids, self._special))
        chosen = generator.choice(words, self._count(ids), replace=False)
        labels = np.full_like(ids, IGNORED)
        labels[chosen] = ids[chosen]
        fate = generator.random(len(chosen))
        ids[chosen[fate < 0.8]] = self.tokenizer.mask_token_id
        other = chosen[fate >= 0.9]
        ids[other] = generator.integers(len(self.tokenizer), size=len(other))
        return ids.tolist(), labels.tolist()


class _MaskedTokens(nn.Module):
    """A language model on an encoder that it shares; its head runs on the tokens that are predicted alone."""

    def __init__(self, base: nn.Module, network: PreTrainedModel) -> None:
        super().__init__()
        setattr(network, network.base_model_prefix, base)
        network.tie_weights()  # with the word embeddings that it now shares
        self.base = base
        self.head = network
        encoder = Encoder(network)
        TruncatedEncoder(encoder, encoder.depth).__enter__()  # never exited: this network stays truncated

    def forward(self, input_ids: Tensor, attention_mask: Tensor, predicted: Tensor) -> MaskedLMOutput:
        states = self.base(input_ids=input_ids, attention_mask=attention_mask)[0]
        return MaskedLMOutput(logits=self.head(inputs_embeds=states[predicted][None]).logits)


def _share(network: PreTrainedModel, base: nn.Module) -> list[str]:
    """Put `base` in place of a network's encoder; the parts that only this one has (a pooler) are lent to `base`."""
    own = network.base_model
    lent = [name for name, _ in own.named_children() if getattr(base, name, None) is None]
    for name in lent:
        setattr(base, name, getattr(own, name))
    setattr(network, network.base_model_prefix, base)
    return lent


def _checkpoint(model: TransferModel) -> Checkpoint:
    if model.checkpoint is None:
        raise ModelError(
            "replay needs a model that knows its checkpoint, and no checkpoint holds this one as it is; save it, and "
            "load that folder."
        )
    return model.checkpoint


def _cut(head: TaskHead, rows: Rows) -> tuple[Rows, str]:
    """Rows whose labels are scores as the target's head takes them, and how, for the log; others as they are."""
    if problem_of(rows.data) != "single_label" or not are_scores(values(rows.data, "label")):
        return rows, ""
    return head.read_scores(rows)


def _tokens(rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    return stored(
        {"input_ids": tokenizer(columns["text"], truncation=True, max_length=max_length)["input_ids"]}
        for columns in slices(rows.data, "text")
    )
