"""Weights are pulled towards where they started, and new ones towards zero."""

from __future__ import annotations

import pytest
import torch
from conftest import run_recipe

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import L2SP


def loaded(checkpoint, **options):
    nt.set_seed(0)
    return nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["complaint", "praise"]), **options)


def weights(model):
    return {name: p.detach().clone() for name, p in model.network.named_parameters()}


def moved(checkpoint, splits, options, strategy):
    """How far the matrices of the encoder went from their start, and how long those of the new head have become."""
    model = loaded(checkpoint)
    before = weights(model)
    nt.fit(model, splits, options, strategy=strategy)
    squares = [0.0, 0.0]
    for name, weight in weights(model).items():
        if weight.ndim > 1:
            is_new = name in model.new_parameters
            squares[is_new] += (weight if is_new else weight - before[name]).square().sum().item()
    return squares[0] ** 0.5, squares[1] ** 0.5


@pytest.fixture
def last_weights(review_splits):
    """No validation rows, so that a run ends where its last step led."""
    return Splits(review_splits.train, None, None)


def test_more_pull_stays_nearer(checkpoint, last_weights, options):
    nearness = [moved(checkpoint, last_weights, options, L2SP(alpha, 0))[0] for alpha in (0, 0.3, 10)]
    assert nearness[0] > 1.2 * nearness[1] > 1.2 * 1.2 * nearness[2]
    norms = [moved(checkpoint, last_weights, options, L2SP(0, beta))[1] for beta in (0, 3)]
    assert norms[0] > 1.2 * norms[1]


def test_without_any_pull_it_is_full_without_decay(checkpoint, last_weights, options):
    options.weight_decay = 0.0
    full = moved(checkpoint, last_weights, options, "full")
    options.weight_decay = 0.5  # which is not to fight the pull
    assert moved(checkpoint, last_weights, options, L2SP(0, 0)) == full


def test_the_penalty_is_that_of_the_paper(checkpoint):
    model, strategy = loaded(checkpoint), L2SP(0.3, 0.7)
    strategy.start(model, next(iter(strategy.stages(model.encoder, 1, 1e-3))))
    head = model.network.classifier.weight.square().sum().item()
    assert strategy.penalty(model.network).item() == pytest.approx(0.7 / 2 * head)
    with torch.no_grad():
        model.network.bert.embeddings.word_embeddings.weight[0, :3] += 2.0
        model.network.bert.embeddings.LayerNorm.weight += 1.0  # no more than decay does it pull at norms and biases
    assert strategy.penalty(model.network).item() == pytest.approx(0.7 / 2 * head + 0.3 / 2 * 12, rel=1e-5)


def test_what_was_kept_of_an_earlier_head_is_pulled_back_to_it(checkpoint, tmp_path):
    loaded(checkpoint).save(tmp_path)
    head = nt.TextClassificationHead(["praise", "complaint"])
    model, strategy = nt.TransferModel.load(tmp_path, head, keep_head=True), L2SP(1, 1)
    strategy.start(model, next(iter(strategy.stages(model.encoder, 1, 1e-3))))
    assert strategy.penalty(model.network).item() == 0


def test_the_penalty_counts_once_a_step(checkpoint, last_weights, options):
    ends = []
    for size, parts in ((8, 1), (2, 4)):
        options.per_device_train_batch_size, options.gradient_accumulation_steps = size, parts
        model = loaded(checkpoint)
        result = nt.fit(model, last_weights, options, strategy=L2SP(1.0, 1.0))
        ends.append((weights(model), [line["loss"] for line in result.history]))
    for name, weight in ends[0][0].items():
        torch.testing.assert_close(ends[1][0][name], weight, rtol=0, atol=1e-5)
    assert ends[1][1] == pytest.approx(ends[0][1], abs=1e-5)


def test_no_copy_of_the_start_is_left_or_saved(checkpoint, last_weights, options, tmp_path):
    model, strategy = loaded(checkpoint), L2SP()
    nt.fit(model, last_weights, options, strategy=strategy)
    assert strategy._origins == {}
    model.save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < model.bytes + 10_000


@pytest.mark.parametrize("option", ["l2sp_alpha", "l2sp_beta"])
def test_less_than_no_pull_is_one_line(tmp_path, option):
    outcome = run_recipe("classify", ["--strategy", "l2sp", f"--{option}", "-0.1"], tmp_path)
    assert outcome.status == 2
    assert outcome.err == f"error: --{option} must be 0 or more; got -0.1.\n"


def test_an_option_of_l2sp_is_one_of_no_other(tmp_path):
    outcome = run_recipe("classify", ["--l2sp_alpha", "1"], tmp_path)
    assert outcome.status == 2
    assert outcome.err.startswith("error: --l2sp_alpha is an option of --strategy l2sp, not of full;")


def test_a_recipe_takes_it(task_flags, training_flags, tmp_path):
    flags = [*task_flags["ner"], *training_flags, "--strategy", "l2sp", "--l2sp_alpha", "0.01", "--output_dir", "run"]
    outcome = run_recipe("ner", flags, tmp_path)
    assert outcome.status == 0, outcome.err
