"""Which layers train when, at which rate; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import Freeze, Full, Gradual, HeadThenFull, Scratch, Stage

LAYERS = 3
Checkpoint = Callable[..., str]


def model_of(checkpoint: Checkpoint, splits: Splits, family: str = "bert") -> nt.TransferModel:
    nt.set_seed(0)
    return nt.TransferModel.load(checkpoint(family, LAYERS), nt.TextClassificationHead.for_splits(splits))


def test_full_gives_each_layer_down_a_smaller_rate(checkpoint, review_splits):
    model = model_of(checkpoint, review_splits)
    strategy = Full(layer_lr_decay=0.5)
    strategy.start(model, Stage(0, 3, 1e-3))
    rates = {id(p): group["lr"] for group in strategy.groups(model, 1e-3, 0.01) for p in group["params"]}
    by_name = {name: rates[id(p)] for name, p in model.network.named_parameters()}
    assert {by_name[n] for n in by_name if "embeddings" in n} == {1e-3 * 0.5**3}
    for layer in range(LAYERS):
        assert {by_name[n] for n in by_name if f"layer.{layer}." in n} == {1e-3 * 0.5 ** (2 - layer)}
    assert {by_name[n] for n in by_name if "pooler" in n or "classifier" in n} == {1e-3}
    decays = {group["weight_decay"] for group in strategy.groups(model, 1e-3, 0.01)}
    assert decays == {0.01, 0.0}


def test_full_may_keep_the_word_embeddings_still(checkpoint, review_splits):
    model = model_of(checkpoint, review_splits)
    Full(trainable_embeddings=False).start(model, Stage(0, 3, 1e-3))
    frozen = [name for name, p in model.network.named_parameters() if not p.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, [(3, 1), (2, 1), (1, 1), (0, 2.5)]),
        ({"unfreeze_epochs": 1}, [(3, 1), (0, 2.5)]),
        ({"unfreeze_epochs": 2}, [(3, 1), (1, 1), (0, 2.5)]),
        ({"unfreeze_epochs": 9}, [(3, 1), (2, 1), (1, 1), (0, 2.5)]),
    ],
)
def test_gradual_unfreezes_from_the_top(checkpoint, given, wanted):
    stages = Gradual(**given).stages(nt.Encoder.load(checkpoint("bert", LAYERS)), 2.5, 1e-4)
    assert [(stage.frozen_layers, stage.epochs) for stage in stages] == wanted
    assert [stage.learning_rate for stage in stages] == [5e-3, *([1e-4] * (len(wanted) - 1))]


def test_a_family_that_shares_layers_goes_from_the_head_to_everything(checkpoint):
    stages = Gradual().stages(nt.Encoder.load(checkpoint("albert", LAYERS)), 4, 1e-4)
    assert stages == [Stage(3, 1, 5e-3), Stage(0, 4, 1e-4)]


def test_the_heads_stage_has_a_rate_of_its_own(checkpoint):
    encoder = nt.Encoder.load(checkpoint("bert", LAYERS))
    assert HeadThenFull(head_epochs=4).stages(encoder, 3, 5e-5) == [Stage(3, 4, 5e-3), Stage(0, 3, 5e-5)]
    assert [HeadThenFull().stages(encoder, epochs, 5e-5)[0].epochs for epochs in (2.5, 30)] == [2.5, 10]


def test_stages_follow_each_other_in_one_run(checkpoint, review_splits, options):
    model = model_of(checkpoint, review_splits)
    result = nt.fit(model, review_splits, options, strategy=HeadThenFull(head_epochs=3))
    assert result.steps == 5 * 8
    judged = [entry for entry in result.history if "validation_accuracy" in entry]
    assert [entry["epoch"] for entry in judged] == [1, 2, 3, 4, 5]
    assert [entry["step"] for entry in judged] == [8, 16, 24, 32, 40]
    assert result.trained_weights == sum(p.numel() for p in model.network.parameters())


def test_steps_that_are_left_bound_all_stages(checkpoint, review_splits, options):
    short = replace(options, max_train_steps=20)
    result = nt.fit(model_of(checkpoint, review_splits), review_splits, short, strategy=HeadThenFull(head_epochs=2))
    assert result.steps == 20
    result = nt.fit(model_of(checkpoint, review_splits), review_splits, short, strategy=HeadThenFull(head_epochs=9))
    assert result.steps == 20


def test_a_stage_that_no_step_is_left_for_trains_nothing(checkpoint, review_splits, options, caplog):
    model = model_of(checkpoint, review_splits)
    with caplog.at_level("INFO"):
        result = nt.fit(model, review_splits, replace(options, max_train_steps=2), strategy=Gradual())
    assert result.steps == 2
    assert result.trained_weights == sum(p.numel() for p in model.network.classifier.parameters())
    assert sum(line.startswith("Training ") for line in caplog.messages) == 1


def test_patience_ends_a_stage_and_not_the_run(checkpoint, review_splits, options):
    patient = replace(options, early_stopping_patience=1, num_train_epochs=2)
    model = model_of(checkpoint, review_splits)
    result = nt.fit(model, review_splits, patient, strategy=HeadThenFull(head_epochs=30, head_learning_rate=1e-9))
    judged = [entry["epoch"] for entry in result.history if "validation_accuracy" in entry]
    assert judged[:3] == [1, 2, 3]  # the head's second epoch is no better than its first, and all weights have a go
    assert len(judged) <= 4


def test_the_best_weights_of_an_early_stage_come_back_whole(checkpoint, review_splits, options):
    """What a later stage changed is as it was when the best was seen."""
    model = model_of(checkpoint, review_splits)
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    ruined = replace(options, learning_rate=10.0, metric_for_best_model="loss")
    result = nt.fit(model, review_splits, ruined, strategy=HeadThenFull(head_epochs=2))
    assert result.best_epoch in (1, 2)
    changed = [name for name, p in model.network.named_parameters() if not torch.equal(p, before[name])]
    assert changed == ["classifier.weight", "classifier.bias"]


def test_scratch_forgets_what_was_pretrained(checkpoint, review_splits):
    model = model_of(checkpoint, review_splits)
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    nt.set_seed(1)  # the tiny encoders are drawn from seed 0
    Scratch().setup(model, seed=1)
    for name, weight in model.network.named_parameters():
        is_constant = "LayerNorm" in name or name.endswith("bias")
        assert torch.equal(weight, before[name]) == is_constant, name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (nt.StrategyOptions(strategy="freze"), "--strategy freze is unknown; did you mean freeze?"),
        (nt.StrategyOptions(strategy="zzz"), "--strategy zzz is unknown; known are features, few_shot, freeze, full"),
        (
            nt.StrategyOptions(strategy="freeze", head_epochs=3),
            "--head_epochs is an option of --strategy head_then_full, not of freeze; its options are "
            "--trainable_layers.",
        ),
        (
            nt.StrategyOptions(strategy="scratch", layer_lr_decay=0.5),
            "--layer_lr_decay is an option of --strategy full and gradual, not of scratch, which has none of its own.",
        ),
        (nt.StrategyOptions(strategy="lora", lora_targets=[]), "--lora_targets names nothing"),
        (nt.StrategyOptions(strategy="freeze", trainable_layers=-1), "--trainable_layers must be 0 or more"),
        (nt.StrategyOptions(strategy="full", layer_lr_decay=0.0), "--layer_lr_decay must be more than 0 and at most 1"),
        (nt.StrategyOptions(strategy="full", layer_lr_decay=1.5), "--layer_lr_decay must be more than 0 and at most 1"),
        (
            nt.StrategyOptions(strategy="gradual", layer_lr_decay=0.0),
            "--layer_lr_decay must be more than 0 and at most 1",
        ),
        (nt.StrategyOptions(strategy="gradual", unfreeze_epochs=0), "--unfreeze_epochs must be 1 or more"),
        (nt.StrategyOptions(strategy="gradual", head_learning_rate=0.0), "--head_learning_rate must be more"),
        (nt.StrategyOptions(strategy="head_then_full", head_epochs=0), "--head_epochs must be more than 0"),
        (nt.StrategyOptions(strategy="head_then_full", head_learning_rate=0.0), "--head_learning_rate must be more"),
    ],
)
def test_what_makes_no_sense_is_one_line(given, message):
    with pytest.raises(nt.OptionError) as error:
        nt.strategy_from(given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_the_encoder_does_not_allow_is_one_line(checkpoint, review_splits, options):
    with pytest.raises(nt.OptionError, match="--trainable_layers 4 is more than the 3 layers"):
        nt.fit(model_of(checkpoint, review_splits), review_splits, options, strategy=Freeze(4))
    with pytest.raises(nt.OptionError, match="albert shares one layer between all depths"):
        nt.fit(model_of(checkpoint, review_splits, "albert"), review_splits, options, strategy=Freeze(1))
