"""Each loss is its paper's formula, worked out by hand, and rows without a label cost nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import review_lines

import nlp_transfer as nt
from nlp_transfer.data.batch import IGNORED
from nlp_transfer.heads import losses

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.3, -2.0], [1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 2, 1])


def probabilities(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_focal_loss_is_cross_entropy_times_a_power_of_how_unsure_it_is():
    p = probabilities(LOGITS.numpy())[np.arange(3), LABELS.numpy()]
    weights = torch.tensor([1.0, 2.0, 0.5])
    by_hand = -(weights.numpy()[LABELS.numpy()] * (1 - p) ** 1.5 * np.log(p)).sum()
    assert losses.softmax_loss(LOGITS, LABELS, weights=weights, gamma=1.5).item() == pytest.approx(by_hand, rel=1e-5)
    plain = losses.softmax_loss(LOGITS, LABELS).item()
    assert losses.softmax_loss(LOGITS, LABELS, gamma=0.0).item() == pytest.approx(plain, rel=1e-6)


def test_logit_adjustment_adds_the_log_of_the_shares():
    shares = np.array([0.7, 0.2, 0.1])
    p = probabilities(LOGITS.numpy() + np.log(shares))[np.arange(3), LABELS.numpy()]
    loss = losses.softmax_loss(LOGITS, LABELS, priors=torch.tensor(shares)).item()
    assert loss == pytest.approx(-np.log(p).sum(), rel=1e-5)


def test_sigmoid_losses_are_the_mean_over_labels():
    there = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    p = 1 / (1 + np.exp(-LOGITS.numpy()))
    p = np.where(there.numpy() > 0.5, p, 1 - p)
    weights = np.where(there.numpy() > 0.5, np.array([3.0, 1.0, 0.5]), 1.0)
    loss = losses.sigmoid_loss(LOGITS, there, positive_weights=torch.tensor([3.0, 1.0, 0.5]), gamma=2.0).item()
    assert loss == pytest.approx(-(weights * (1 - p) ** 2 * np.log(p)).mean(axis=1).sum(), rel=1e-5)
    stock = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, there).item()
    assert losses.sigmoid_loss(LOGITS, there).item() / 3 == pytest.approx(stock, rel=1e-6)


def test_rows_without_a_label_cost_nothing_and_have_no_gradient():
    for gamma in (None, 0.5, 2.0):
        logits = (100 * LOGITS).requires_grad_()  # so sure that p is 1
        some = losses.softmax_loss(logits, torch.tensor([0, IGNORED, IGNORED]), gamma=gamma)
        some.backward()
        assert logits.grad.isfinite().all()
        assert not logits.grad[1:].any()
        marks = torch.tensor([[1.0, 0.0, 1.0], [math.nan] * 3, [math.nan] * 3])
        logits = LOGITS.clone().requires_grad_()
        loss = losses.sigmoid_loss(logits, marks, gamma=gamma)
        assert loss.item() == pytest.approx(losses.sigmoid_loss(LOGITS[:1], marks[:1], gamma=gamma).item())
        loss.backward()
        assert not logits.grad[1:].any()
    values = torch.tensor([1.0, 5.0], requires_grad=True)
    squared = losses.squared_loss(values, torch.tensor([3.0, math.nan]))
    squared.backward()
    assert (squared.item(), values.grad.tolist()) == (4.0, [-4.0, 0.0])


def test_class_weights_by_their_formulas():
    counts = {"often": 90, "seldom": 10}
    assert losses.class_weights("balanced", counts) == pytest.approx({"often": 100 / 180, "seldom": 5.0})
    effective = {name: (1 - 0.999**n) / (1 - 0.999) for name, n in counts.items()}
    weights = losses.class_weights("effective_number", counts)
    assert sum(weights.values()) == pytest.approx(2.0)
    assert weights["seldom"] / weights["often"] == pytest.approx(effective["often"] / effective["seldom"])
    assert losses.class_weights("none", counts) == {}
    assert losses.positive_weights("balanced", {"a": 20, "b": 100}, 100) == pytest.approx({"a": 4.0, "b": 0.01})
    positive = losses.positive_weights("effective_number", {"a": 20}, 100)["a"]
    assert positive == pytest.approx((1 - 0.999**80) / (1 - 0.999**20))
    even = losses.class_weights("effective_number", {"a": 50, "b": 50})
    assert even == pytest.approx({"a": 1.0, "b": 1.0})


def test_a_head_takes_its_weights_and_shares_from_the_training_rows(review_splits):
    def less_praise(rows):
        keep = [i for i, label in enumerate(rows.data["label"]) if label == "complaint" or i % 8 == 0]
        return type(rows)(rows.data.select(keep), rows.source, (), rows.columns, "")

    splits = review_splits.each(less_praise)
    counts = {name: list(splits.train.data["label"]).count(name) for name in ("complaint", "praise")}
    weights = nt.text_head_for(splits, class_weights="balanced").class_weights
    assert weights == pytest.approx(losses.class_weights("balanced", counts))
    with pytest.raises(nt.OptionError, match="would make up for rare labels twice; give one of them"):
        nt.text_head_for(splits, class_weights="balanced", loss="logit_adjusted")
    head = nt.text_head_for(splits, class_weights=weights, loss="logit_adjusted")
    assert head.class_weights == weights
    assert head.priors == pytest.approx({name: n / sum(counts.values()) for name, n in counts.items()})
    again = type(head)(**head.options())
    assert vars(again) == vars(head)
    logits, labels = torch.tensor([[0.3, -0.2]]), torch.tensor([1])
    p = probabilities(np.array([0.3, -0.2]) + np.log([head.priors[n] for n in ("complaint", "praise")]))[1]
    assert head.loss(logits, labels, 1).item() == pytest.approx(-head.class_weights["praise"] * math.log(p), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nt.TextClassificationHead(["a", "b"], loss="hinge"), "--loss hinge: known here are"),
        (lambda: nt.TextClassificationHead(["a", "b"], loss="focal", label_smoothing=0.1), "give one of them"),
        (lambda: nt.TextClassificationHead(["a", "b"], loss="focal", focal_gamma=-1.0), "--focal_gamma must be"),
        (lambda: nt.TextClassificationHead(["a", "b"], loss="logit_adjusted"), "needs the share of every label"),
        (lambda: nt.MultiLabelHead(["a", "b"], loss="logit_adjusted"), "is for one label a text"),
        (lambda: nt.MultiLabelHead(["a"]), "needs two labels or more"),
        (lambda: nt.MultiLabelHead(["a", "b"], thresholds={"c": 0.5}), "thresholds must be of the labels"),
        (lambda: nt.RegressionHead("stars", deviation=0.0), "deviation must be more than 0"),
        (lambda: nt.RegressionHead("stars", pairs=True, long_texts="window"), "is for single texts"),
        (lambda: nt.RegressionHead("stars", long_texts="middle"), "--long_texts middle: known are"),
        (lambda: nt.RegressionHead("stars", window_pooling="sum"), "--window_pooling sum: known are"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make, message):
    with pytest.raises(nt.OptionError) as refused:
        make()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("options", [{"class_weights": "balanced"}, {"loss": "focal"}, {"label_smoothing": 0.1}])
def test_a_number_has_no_labels_to_weigh(tmp_path, options):
    lines = "".join(f"{text},{i / 3}\n" for i, (text, _) in enumerate(review_lines(40)))
    (tmp_path / "a.csv").write_text("text,score\n" + lines)
    splits = nt.load_splits(nt.DataOptions(train_file=str(tmp_path / "a.csv")), "classification")
    assert isinstance(nt.text_head_for(splits), nt.RegressionHead)
    with pytest.raises(nt.OptionError, match="is for labels; leave it out where a number is learned"):
        nt.text_head_for(splits, **options)
