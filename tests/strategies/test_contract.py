"""What every strategy keeps with every head on every family: it learns, and what it does not train stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FAMILIES
from contract_cases import HEADS, batch, lively, mean_loss, splits
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import STRATEGIES

__all__ = ["lively", "splits"]  # fixtures

OPTIONS: dict[str, dict[str, Any]] = {
    "full": {"layer_lr_decay": 0.8, "trainable_embeddings": False},
    "freeze": {"trainable_layers": 1},
    "gradual": {},
    "head_then_full": {"head_epochs": 2},
    "scratch": {},
    "features": {"classifier": "svm"},
    "few_shot": {"tune_encoder": True},
    "lora": {"lora_r": 4},
}
"""Options that a strategy is tried with; a strategy that is not named here is tried with its defaults."""

LEAVES_EVERYTHING_STILL = ("features", "lora")
"""Strategies that train weights of their own beside those that the model had."""

POOLS_ITSELF = ("few_shot",)
"""Strategies that put a head of their own on the encoder of texts."""

TRAINING = nt.TrainingOptions(
    num_train_epochs=2, per_device_train_batch_size=8, learning_rate=2e-3, mixed_precision="no", warmup_ratio=0.0,
)  # fmt: skip


def still(model: nt.TransferModel, strategy: str, options: dict[str, object]) -> set[str]:
    """The names of the weights that a strategy leaves as they were."""
    encoder = model.encoder
    frozen: set[int] = set()
    if strategy in ("full", "few_shot"):
        frozen = {id(p) for p in model.network.get_input_embeddings().parameters()}
    if strategy == "freeze":
        live = {
            id(p)
            for module in encoder.above(encoder.depth - options.get("trainable_layers", 0))
            for p in module.parameters()
        }
        frozen = {id(p) for p in encoder.base.parameters()} - live
    return {name for name, p in model.network.named_parameters() if id(p) in frozen}


# The pooled network is ours, and the same on every family; two are enough.
TRIED = [
    (family, head)
    for family in FAMILIES
    for head in ("native", "pooled", "ner")
    if head != "pooled" or family in ("bert", "modernbert")
] + [("bert", head) for head in ("pairs", "multi_label", "regression")]


@pytest.mark.thinned(0.08)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("family", "head"), TRIED)
def test_it_learns_keeps_still_what_it_says_and_leaves_a_whole_model(
    lively: Callable[[str], Path], splits: dict[str, Splits], tmp_path: Path, family: str, head: str, strategy: str
):
    options = OPTIONS.get(strategy, {})
    if family == "albert" and strategy == "freeze":
        options = {}  # it shares one layer between all depths
    if strategy == "replay":
        options = {"source_file": splits[head].train.source, "source_weight": 0.1}
    if strategy == "features" and head in ("multi_label", "regression"):
        options = {}  # a linear classifier a label, or ridge regression
    if strategy in ("features", "few_shot") and head == "pooled":
        pytest.skip("a classifier that is fitted takes no hidden layers")
    if strategy == "few_shot" and head == "regression":
        pytest.skip("numbers have no label texts")
    nt.set_seed(0)
    model = nt.TransferModel.load(lively(family), HEADS[head]())
    loss_before = mean_loss(model, splits[head])
    weights = dict(model.network.named_parameters())
    before = {name: p.detach().clone() for name, p in weights.items()}
    frozen = still(model, strategy, options) if options or strategy in ("scratch", "freeze") else set()
    every_row = replace(splits[head], validation=None)  # the last weights are kept, not those of an early stage
    # MobileBERT has no norms, and big steps throw it off.
    training = replace(TRAINING, num_train_epochs=4, learning_rate=5e-4) if family == "mobilebert" else TRAINING
    nt.fit(model, every_row, training, strategy=nt.strategy_named(strategy, **options))

    assert mean_loss(model, splits[head]) < loss_before
    changed = {name for name in before if not torch.equal(before[name], weights[name])}
    assert not changed & frozen
    if strategy in LEAVES_EVERYTHING_STILL:
        assert changed == set()
    else:
        if strategy not in POOLS_ITSELF or head == "ner":
            assert list(dict(model.network.named_parameters())) == list(before)
        there = {id(p) for p in model.network.parameters()}
        learns = {name for name, p in weights.items() if p.requires_grad and id(p) in there}
        assert learns >= changed
        assert {name for name in learns - changed if not _has_no_gradient(name)} == set()

    model.save(tmp_path)
    auto = AutoModelForTokenClassification if head == "ner" else AutoModelForSequenceClassification
    # What opens an adapter is PEFT, which test_lora.py asks.
    network = nt.TransferModel.load(tmp_path).network if strategy == "lora" else auto.from_pretrained(tmp_path)
    tensors = batch(model, splits[head])
    tensors.pop("labels")
    with torch.inference_mode():
        ours, theirs = (some.eval()(**tensors).logits for some in (model.network, network))
    real = tensors["attention_mask"].bool() if head == "ner" else slice(None)
    torch.testing.assert_close(theirs[real], ours[real], rtol=0, atol=1e-5)


def _has_no_gradient(name: str) -> bool:
    """Weights that these rows give a gradient of nothing: padding's and unused positions' own."""
    return "token_type" in name
