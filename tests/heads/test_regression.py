"""A number for a text, in the unit of the data, in every network that is saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import nlp_transfer as nt
from nlp_transfer.data.batch import unlabelled
from nlp_transfer.heads.task_head import output_layer
from nlp_transfer.training.best_weights import BestWeights


@pytest.fixture
def numbers(review_splits):
    """Praise is worth about 400 and a complaint about 100."""

    def numbered(rows):
        values = [(400.0 if label == "praise" else 100.0) + i % 3 for i, label in enumerate(rows.data["label"])]
        return replace(rows, data=rows.data.remove_columns("label").add_column("label", values))

    return review_splits.each(numbered)


def test_a_new_head_starts_from_the_mean(numbers, checkpoint):
    head = nt.text_head_for(numbers)
    assert (head.mean, head.deviation) == (pytest.approx(251, abs=1), pytest.approx(150, abs=1))
    assert list(head.labels) == ["label"]
    model = nt.TransferModel.load(checkpoint(), head)
    _, layer = output_layer(model.network)
    assert layer.bias.item() == pytest.approx(head.mean)
    assert type(head)(**head.options()).options() == head.options()


def test_the_loss_does_not_depend_on_the_unit(numbers):
    head = nt.text_head_for(numbers)
    values, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([1.5, 1.0])
    plain = nt.RegressionHead("label").loss(values, labels, 2).item()
    assert plain == pytest.approx((0.25 + 1.0) / 2)
    scale_param_groups = head.loss(values * head.deviation + head.mean, labels * head.deviation + head.mean, 2).item()
    assert scale_param_groups == pytest.approx(plain, rel=1e-4)
    assert head.loss(values, unlabelled(labels), 2).item() == 0.0


@pytest.mark.parametrize("strategy", ["full", "freeze", "features"])
def test_a_run_learns_numbers_and_plain_transformers_says_them(numbers, checkpoint, options, tmp_path, strategy):
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(numbers, pooling="mean"))
    options.num_train_epochs = 6
    run = nt.fit(model, numbers, options, strategy=strategy)
    assert run.metric == "mse"
    variance = np.var(numbers.validation.data["label"][:])
    assert run.best_score < (0.99 if strategy == "freeze" else 0.7) * variance
    model.save(tmp_path)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert network.config.problem_type == "regression"
    text = numbers.test.data["text"][0]
    with torch.no_grad():
        theirs = network(**model.tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits.item()
    assert model.predict([text], precision="no")[0].value == pytest.approx(theirs, rel=1e-5)
    for again in (model, nt.TransferModel.load(tmp_path)):
        half = torch.tensor([p.value for p in again.predict(numbers.test.data["text"][:], precision="bf16")])
        whole = torch.tensor([p.value for p in again.predict(numbers.test.data["text"][:], precision="no")])
        assert not torch.equal(half, whole)
        assert (half != half.bfloat16()).float().mean() > 0.9  # no coarse steps
        assert (half - whole).abs().max() < 0.05 * whole.std()


@pytest.mark.parametrize("strategy", ["full", "freeze"])
def test_a_run_goes_the_same_way_in_every_unit(numbers, checkpoint, options, strategy):
    def run(unit):
        splits = numbers.each(lambda rows: scale_param_groups(rows, unit))
        nt.set_seed(0)
        model = nt.TransferModel.load(checkpoint(), nt.text_head_for(splits, pooling="mean"))
        return nt.fit(model, splits, options, strategy=strategy).best_score / unit**2

    assert run(0.01) == pytest.approx(run(1.0), rel=0.02)


def scale_param_groups(rows, unit):
    values = [unit * number for number in rows.data["label"]]
    return replace(rows, data=rows.data.remove_columns("label").add_column("label", values))


def test_less_error_is_better():
    for metric, better in (("mse", 1.0), ("mae", 1.0), ("hamming_loss", 1.0), ("pearson", 2.0)):
        best = BestWeights(metric, {})
        best.update(1.0, {metric: 1.0})
        best.update(2.0, {metric: 2.0})
        assert best.restore() == better


def test_labels_are_not_drawn_evenly_where_there_are_none(numbers, checkpoint, options):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(numbers))
    with pytest.raises(nt.OptionError, match="--sampling balanced draws rows by label"):
        nt.fit(model, numbers, replace(options, sampling="balanced"))
    with pytest.raises(nt.OptionError, match="--classifier svm is for labels"):
        nt.fit(model, numbers, options, strategy=nt.strategy_named("features", classifier="svm"))
