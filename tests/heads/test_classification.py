"""A classifier's options do what they say, and its loss is torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import FAMILIES
from torch import nn

import nlp_transfer as nt
from nlp_transfer.heads.task_head import IGNORED

LABELS = ["a", "b", "c"]


def load(checkpoint, family="bert", **options):
    return nt.TransferModel.load(checkpoint(family), nt.TextClassificationHead(LABELS, **options))


def logits(model, texts, length=None):
    """The network's logits of texts padded to one length."""
    features = model.head.encode({"text": texts}, model.tokenizer, model.max_length)["input_ids"]
    length = length or max(map(len, features))
    ids = torch.tensor([row + [model.pad_id] * (length - len(row)) for row in features])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in features])
    with torch.inference_mode():
        return model.network.eval()(input_ids=ids, attention_mask=mask).logits


@pytest.mark.parametrize("options", [{}, *({"pooling": p, "hidden": (16,)} for p in ("native", "cls", "mean", "max"))])
def test_a_padded_text_has_the_logits_that_it_has_alone(checkpoint, options):
    model = load(checkpoint, **options)
    texts = ["good", "the coffee was good and great", "bad bad bad"]
    together = logits(model, texts, length=40)
    for text, row in zip(texts, together, strict=True):
        torch.testing.assert_close(logits(model, [text])[0], row, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[1], rtol=1e-3, atol=0)  # the texts themselves differ


def test_native_is_the_stock_network_and_any_other_shape_is_ours(checkpoint):
    assert type(load(checkpoint).network).__name__ == "BertForSequenceClassification"
    for options in ({"pooling": "mean"}, {"pooling": "cls"}, {"hidden": (4,)}):
        assert type(load(checkpoint, **options).network).__name__ == "PooledClassifier"
    assert load(checkpoint, hidden=(4,)).network.config.pooling == "cls"


def test_the_network_knows_the_labels_by_name(checkpoint):
    for options in ({}, {"pooling": "mean"}):
        config = load(checkpoint, **options).network.config
        assert config.id2label == {0: "a", 1: "b", 2: "c"}
        assert config.label2id == {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize("options", [{}, {"pooling": "mean", "hidden": (8,)}])
def test_what_the_checkpoint_did_not_have_is_named(checkpoint, options):
    model = load(checkpoint, "roberta", **options)
    outside = {name for name, _ in model.network.named_parameters() if not name.startswith(("roberta.", "backbone."))}
    assert model.new_parameters == outside
    assert any(name.startswith("classifier") for name in outside)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_set_on_the_native_head_and_nowhere_else(checkpoint, family):
    network = load(checkpoint, family, dropout=0.37).network
    encoder = set(network.base_model.modules())
    drops = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    assert {module.p for module in drops if module not in encoder} == {0.37}
    assert 0.37 not in {module.p for module in drops if module in encoder}


@pytest.mark.parametrize("options", [{}, {"pooling": "mean", "hidden": (8,)}])
def test_dropout_makes_training_random_and_prediction_not(checkpoint, options):
    model = load(checkpoint, dropout=0.5, **options)
    ids = torch.tensor([[1, 60, 61, 2]])
    assert not torch.equal(model.network.train()(ids).logits, model.network(ids).logits)
    assert torch.equal(model.network.eval()(ids).logits, model.network(ids).logits)


def test_dropout_zero_is_not_the_default(checkpoint):
    assert load(checkpoint, pooling="mean").network.dropout.p == 0.1
    assert load(checkpoint, pooling="mean", dropout=0.0).network.dropout.p == 0.0


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, {"a": 3.0, "c": 0.5}])
def test_the_loss_is_that_of_torch_summed_and_divided_by_the_count(smoothing, weights):
    head = nt.TextClassificationHead(LABELS, label_smoothing=smoothing, class_weights=weights)
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 1, IGNORED, 0])
    factors = torch.tensor([3.0, 1.0, 0.5]) if weights else torch.ones(3)
    # Szegedy et al. 2016: the target is (1 - s) at the label, and s / labels everywhere.
    known = labels != IGNORED
    targets = F.one_hot(labels[known], 3) * (1 - smoothing) + smoothing / 3
    expected = -(targets * factors * scores[known].log_softmax(-1)).sum()
    for count in (1, 5, 12):
        torch.testing.assert_close(head.loss(scores, labels, count), expected / count)
    if not weights:  # torch's mean is over the sum of the weights, ours over the rows
        mean = F.cross_entropy(scores, labels, label_smoothing=smoothing)
        torch.testing.assert_close(head.loss(scores, labels, 5), mean)


def test_the_loss_of_parts_adds_up_to_that_of_the_whole():
    head = nt.TextClassificationHead(LABELS, label_smoothing=0.1, class_weights={"b": 2.0})
    scores, labels = torch.randn(8, 3), torch.arange(8) % 3
    parts = sum(head.loss(scores[i : i + 3], labels[i : i + 3], 8) for i in (0, 3, 6))
    torch.testing.assert_close(parts, head.loss(scores, labels, 8))


def test_the_loss_of_half_precision_logits_is_computed_in_full():
    head = nt.TextClassificationHead(LABELS)
    scores = torch.tensor([[60.0, 0.0, -60.0]], dtype=torch.bfloat16)
    assert head.loss(scores, torch.tensor([2]), 1) == pytest.approx(120.0)
    assert head.loss(scores, torch.tensor([2]), 1).dtype == torch.float32


def test_predictions_hold_every_probability_by_name():
    head = nt.TextClassificationHead(LABELS)
    outputs = [np.array([[0.0, np.log(2.0), 0.0]], dtype=np.float32), np.array([[1000.0, 0.0, 0.0]], dtype=np.float32)]
    first, second = head.decode(outputs, {"text": ["x", "y"]})
    assert (first.label, first.probability) == ("b", pytest.approx(0.5))
    assert first.probabilities == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.25})
    assert (second.label, second.probability) == ("a", 1.0)


def test_scores_are_those_of_the_predictions():
    head = nt.TextClassificationHead(LABELS)
    outputs = [np.eye(3, dtype=np.float32)[[i]] * 5 for i in (0, 1, 2, 2)]
    scores = head.evaluate(outputs, {"text": list("wxyz"), "label": ["a", "b", "c", "a"]})
    assert scores["accuracy"] == 0.75
    assert head.best_metric in scores
    expected = F.cross_entropy(torch.eye(3)[[0, 1, 2, 2]] * 5, torch.tensor([0, 1, 2, 0])).item()
    assert scores["loss"] == pytest.approx(expected)


def test_rows_become_token_ids_with_their_labels(checkpoint):
    model = load(checkpoint)
    rows = {"text": ["good " * 100, "", "bad"], "label": ["c", "a", "b"]}
    features = model.head.encode(rows, model.tokenizer, 10)
    assert [len(ids) for ids in features["input_ids"]] == [10, 2, 3]
    assert features["labels"] == [2, 0, 1]
    assert features["row"] == [0, 1, 2]
    assert "labels" not in model.head.encode({"text": ["good"]}, model.tokenizer, 10)


def test_for_splits_takes_the_labels_in_alphabetical_order(review_splits):
    head = nt.TextClassificationHead.for_splits(review_splits, pooling="max")
    assert list(head.labels) == ["complaint", "praise"]
    assert head.pooling == "max"


@pytest.mark.parametrize(
    "options",
    [{}, {"pooling": "mean", "hidden": (16, 4), "dropout": 0.0, "label_smoothing": 0.1, "class_weights": {"a": 2.0}}],
)
def test_options_make_the_same_head_again(options):
    head = nt.TextClassificationHead(LABELS, **options)
    again = nt.TextClassificationHead(**head.options())
    assert vars(again) == vars(head)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"labels": ["a"]}, "a classifier needs two labels or more; got ['a']."),
        ({"labels": []}, "a classifier needs two labels or more; got []."),
        ({"labels": ["a", "b", "a"]}, "label names repeat: a, b, a; name each once."),
        ({"pooling": "sum"}, "unknown pooling 'sum'; known are native, cls, mean, max."),
        ({"hidden": (16, 0)}, "hidden layers need at least one unit each; got [16, 0]."),
        ({"dropout": 1.0}, "dropout must lie in [0, 1); got 1.0."),
        ({"dropout": -0.1}, "dropout must lie in [0, 1); got -0.1."),
        ({"label_smoothing": 1.0}, "label_smoothing must lie in [0, 1); got 1.0."),
        ({"class_weights": {"a": 1.0, "d": 2.0}}, "class_weights has unknown labels d; the labels are a, b, c."),
        ({"class_weights": {"a": -1.0}}, "class_weights must be numbers of 0 or more; got -1.0 for a."),
        ({"class_weights": {"b": float("nan")}}, "class_weights must be numbers of 0 or more; got nan for b."),
        (
            {"class_weights": dict.fromkeys(LABELS, 0)},
            "class_weights are all 0, so nothing would be learned; give one label a weight above 0.",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options, line):
    with pytest.raises(nt.OptionError) as refused:
        nt.TextClassificationHead(**({"labels": LABELS} | options))
    assert str(refused.value) == line


def test_a_label_that_the_head_lacks_is_named(review_splits):
    with pytest.raises(nt.DataError, match="has a label 'praise' that the head lacks; its labels are yes, no"):
        nt.TextClassificationHead(["yes", "no"]).targets(["praise"])
