"""What a checkpoint did not have trains with the head, in every family, under every strategy, in every stage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import FAMILIES
from contract_cases import HEADS, batch, lively, splits
from safetensors.torch import load_file, save_file

import nlp_transfer as nt
from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.activations.truncation import can_be_truncated, reading
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.training.accelerator import make_accelerator

__all__ = ["lively", "splits"]  # fixtures

WITH_POOLER = ("bert", "albert", "mobilebert")
"""Families whose stock classifier reads the pooler of the encoder."""


def without(part: str, folder: Path, target: Path) -> Path:
    """A copy of a checkpoint that lacks the weights whose names hold `part`."""
    shutil.copytree(folder, target)
    weights = load_file(target / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if part not in name}
    assert len(kept) < len(weights) or part == "pooler"
    save_file(kept, target / "model.safetensors", metadata={"format": "pt"})
    return target


def untrained(model: nt.TransferModel) -> set[str]:
    """The new weights that do not train; PEFT trains a copy of its own of what it saves in full."""
    trains = {
        name.replace(".modules_to_save.default", "") for name, p in model.network.named_parameters() if p.requires_grad
    }
    return set(model.new_parameters) - trains


@pytest.mark.thinned(0.3)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_random_weight_stays_frozen(
    lively: Callable[[str], Path], splits: dict[str, Splits], tmp_path: Path, family: str, strategy: str
):
    given = {"source_file": splits["native"].train.source} if strategy == "replay" else {}
    model = nt.TransferModel.load(without("pooler", lively(family), tmp_path / "encoder"), HEADS["native"]())
    assert family not in WITH_POOLER or any("pooler" in name for name in model.new_parameters)
    chosen = nt.strategy_named(strategy, **given)
    chosen.setup(model, seed=0)
    stages = [stage for stage in chosen.stages(model.encoder, 2, 1e-3) if stage.epochs]
    assert stages or strategy == "features"
    for stage in stages:
        chosen.start(model, stage)
        assert untrained(model) == set()
        if strategy != "lora":
            assert model.encoder.frozen_layers == stage.frozen_layers


@pytest.mark.parametrize("family", WITH_POOLER)
def test_a_new_pooler_is_trained_on_activations_of_the_layers_below_it(
    lively: Callable[[str], Path], splits: dict[str, Splits], tmp_path: Path, family: str
):
    nt.set_seed(0)
    model = nt.TransferModel.load(without("pooler", lively(family), tmp_path / "encoder"), HEADS["native"]())
    encoder, rows = model.encoder, splits["native"]
    assert reading(encoder) == "first"
    tensors = batch(model, rows)
    tensors.pop("labels")
    assert can_be_truncated(encoder, encoder.depth, "first", tensors)
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    training = nt.TrainingOptions(num_train_epochs=2, learning_rate=1e-2, mixed_precision="no")
    nt.fit(model, rows, training, strategy="freeze")
    changed = {name for name, p in model.network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == set(model.new_parameters)
    model.save(tmp_path / "saved")
    again = nt.TransferModel.load(tmp_path / "saved").network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(**tensors).logits, model.network.eval()(**tensors).logits)


def test_a_pooler_of_the_checkpoint_stays_frozen(lively: Callable[[str], Path]):
    model = nt.TransferModel.load(lively("bert"), HEADS["native"]())
    model.encoder.freeze(model.encoder.depth)
    assert reading(model.encoder) == "pooled"
    assert not any(p.requires_grad for p in model.encoder.base.parameters())


def test_the_cache_does_not_depend_on_a_new_pooler(
    lively: Callable[[str], Path], splits: dict[str, Splits], tmp_path: Path
):
    folder = without("pooler", lively("bert"), tmp_path / "encoder")
    keys = []
    for seed in (0, 1):
        nt.set_seed(seed)
        model = nt.TransferModel.load(folder, HEADS["native"]())
        frozen = FrozenLayers(model.encoder, make_accelerator(nt.TrainingOptions(mixed_precision="no")))
        keys.append(frozen._key(TokenInputs(model.encode(splits["native"].train.data), model.pad_id), 2))
    assert keys[0] == keys[1]


def test_nothing_can_be_frozen_above_random_embeddings(lively: Callable[[str], Path], tmp_path: Path):
    folder = without("token_type", lively("bert"), tmp_path / "encoder")
    model = nt.TransferModel.load(folder, HEADS["native"]())
    with pytest.raises(nt.OptionError, match=r"no bert\.embeddings\.token_type.* has to train"):
        model.encoder.freeze(2)
    model.encoder.freeze(0)
    assert untrained(model) == set()
