"""What every head keeps on every family: it learns, no weight is left out, and others open what it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from conftest import FAMILIES
from contract_cases import HEADS, batch, lively, mean_loss, splits
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits

__all__ = ["lively", "splits"]  # fixtures


class Trained(NamedTuple):
    """A model after two epochs, the folder it was saved in, and its mean loss on the training rows."""

    model: nt.TransferModel
    folder: Path
    splits: Splits
    loss_before: float
    loss_after: float


def texts_of(rows: dict[str, list[object]], head: str) -> list[object]:
    """What a model of `head` predicts of rows."""
    if head == "pairs":
        return list(zip(rows["text"], rows["text_pair"], strict=True))
    return rows["words" if head == "ner" else "text"]


@pytest.fixture(scope="session")
def trained(
    lively: Callable[[str], Path], splits: dict[str, Splits], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Trained]:
    """`trained(family, head)` is a model after two epochs of `fit`."""
    options = nt.TrainingOptions(
        num_train_epochs=2, per_device_train_batch_size=4, learning_rate=3e-3, mixed_precision="no", warmup_ratio=0.0,
    )  # fmt: skip
    done: dict[tuple[str, str], Trained] = {}

    def train(family: str, name: str) -> Trained:
        if (family, name) not in done:
            nt.set_seed(0)
            model = nt.TransferModel.load(lively(family), HEADS[name]())
            before = mean_loss(model, splits[name])
            nt.fit(model, replace(splits[name], validation=None), options)
            folder = tmp_path_factory.mktemp(f"{family}-{name}")
            model.save(folder)
            done[family, name] = Trained(model, folder, splits[name], before, mean_loss(model, splits[name]))
        return done[family, name]

    return train


# Those of texts but the first stand on the same networks as the native one, or on ours; four families are enough.
FEW = ("bert", "roberta", "deberta-v2", "modernbert")
CASES = [(f, head) for f in FAMILIES for head in HEADS if head in ("native", "ner") or f in FEW]
every_case = pytest.mark.parametrize(("family", "head"), CASES, scope="module")  # so that tests of one model follow
thinned = pytest.mark.thinned(0.25)


@thinned
@every_case
def test_the_loss_falls(trained, family, head):
    done = trained(family, head)
    assert done.loss_after < 0.998 * done.loss_before


@thinned
@every_case
def test_every_weight_that_learns_has_a_gradient(trained, family, head):
    """DistributedDataParallel would wait for those that have none."""
    model, _, splits, *_ = trained(family, head)
    tensors = batch(model, splits)
    model.network.train().zero_grad()
    labels = tensors.pop("labels")
    model.head.loss(model.network(**tensors).logits, labels, labels.numel()).backward()
    left_out = [name for name, p in model.network.named_parameters() if p.requires_grad and p.grad is None]
    model.network.zero_grad()
    assert left_out == []


@thinned
@every_case
def test_plain_transformers_opens_what_was_saved(trained, family, head):
    model, folder, splits, *_ = trained(family, head)
    auto = AutoModelForTokenClassification if head == "ner" else AutoModelForSequenceClassification
    network, info = auto.from_pretrained(folder, output_loading_info=True)
    assert type(network).__module__.startswith("transformers.") == (head != "pooled")
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert network.config.problem_type == getattr(model.head, "problem_type", None)
    assert [network.config.id2label[i] for i in range(len(model.head.labels))] == list(model.head.labels)

    tensors = batch(model, splits)
    tensors.pop("labels")
    with torch.inference_mode():
        ours, theirs = model.network.eval()(**tensors).logits, network.eval()(**tensors).logits
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = splits.validation.data[:]
    words = {"is_split_into_words": True} if head == "ner" else {}
    both = (rows["text"], rows["text_pair"]) if head == "pairs" else (texts_of(rows, head),)
    ids = tokenizer(*both, **words)["input_ids"]
    assert ids == list(model.encode(splits.validation.data)["input_ids"])


@thinned
@every_case
def test_a_model_that_is_loaded_predicts_what_it_did(trained, family, head):
    model, folder, splits, *_ = trained(family, head)
    texts = texts_of(splits.validation.data[:], head)
    again = nt.TransferModel.load(folder)
    for ours, theirs in zip(again.predict(texts), model.predict(texts), strict=True):
        if head == "ner":
            assert ours.tags == theirs.tags
        elif head == "regression":
            assert ours.value == pytest.approx(theirs.value, abs=1e-5)
        else:
            name = "labels" if head == "multi_label" else "label"
            assert getattr(ours, name) == getattr(theirs, name)
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-6)
