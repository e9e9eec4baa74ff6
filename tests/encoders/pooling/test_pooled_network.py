"""Pooling sees the words of a text and none of its padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nlp_transfer as nt
from nlp_transfer.encoders.pooling.pooled_config import POOLINGS, PooledConfig, max_positions
from nlp_transfer.encoders.pooling.pooled_network import pool


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.sampled_from(POOLINGS), st.integers(0, 99))
def test_padding_has_no_part_in_what_is_pooled(lengths, how, seed):
    """Whatever stands in the padding: numbers, or what became no number."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, 3, generator=generator) for length in lengths]
    for junk in (1e9, -1e9, float("nan"), float("inf")):
        states = torch.full((len(rows), max(lengths) + 1, 3), junk)
        mask = torch.zeros(states.shape[:2], dtype=torch.long)
        for i, row in enumerate(rows):
            states[i, : len(row)], mask[i, : len(row)] = row, 1
        alone = {"cls": lambda row: row[0], "mean": lambda row: row.mean(0), "max": lambda row: row.amax(0)}[how]
        torch.testing.assert_close(pool(states, mask, how), torch.stack([alone(row) for row in rows]))


def test_mean_and_max_of_numbers_one_can_add_up():
    states = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pool(states, mask, "mean").tolist() == [[2.0, -3.0]]
    assert pool(states, mask, "max").tolist() == [[3.0, -2.0]]
    assert pool(states, mask, "cls").tolist() == [[1.0, -4.0]]


def test_a_text_without_a_token_pools_to_numbers():
    states, mask = torch.ones(1, 2, 3), torch.zeros(1, 2, dtype=torch.long)
    assert pool(states, mask, "mean").tolist() == [[0.0] * 3]
    assert pool(states, mask, "max").isfinite().all()


def test_half_precision_pools_to_numbers():
    states = torch.full((1, 3, 2), -7.0, dtype=torch.float16)
    assert pool(states, torch.tensor([[1, 1, 0]]), "max").tolist() == [[-7.0, -7.0]]


def built(checkpoint, **options):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead(["a", "b", "c"], **options))
    return model.network.eval()


@pytest.mark.parametrize("how", POOLINGS)
def test_logits_are_the_softmax_layer_on_what_is_pooled(checkpoint, how):
    network = built(checkpoint, pooling=how)
    ids = torch.tensor([[1, 60, 61, 62, 2], [1, 63, 2, 0, 0]])
    mask = (ids != 0).long()
    with torch.inference_mode():
        states = network.backbone(ids, attention_mask=mask).last_hidden_state
        logits = network(ids, attention_mask=mask).logits
        expected = pool(states, mask, how) @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(logits, expected)


def test_hidden_layers_are_dense_with_relu_between_pooling_and_softmax_layer(checkpoint):
    network = built(checkpoint, pooling="mean", hidden=(16, 8), dropout=0.3)
    kinds = [type(module) for module in network.hidden_layers]
    assert kinds == [nn.Dropout, nn.Linear, nn.ReLU] * 2
    assert [(m.in_features, m.out_features) for m in network.hidden_layers if isinstance(m, nn.Linear)] == [
        (32, 16),
        (16, 8),
    ]
    assert (network.classifier.in_features, network.classifier.out_features) == (8, 3)
    assert {m.p for m in [*network.hidden_layers, network.dropout] if isinstance(m, nn.Dropout)} == {0.3}

    ids = torch.tensor([[1, 60, 61, 2]])
    with torch.inference_mode():
        x = network.backbone(ids).last_hidden_state.mean(1)
        for dense in (network.hidden_layers[1], network.hidden_layers[4]):
            x = (x @ dense.weight.T + dense.bias).clamp(min=0)
        expected = x @ network.classifier.weight.T + network.classifier.bias
        torch.testing.assert_close(network(ids).logits, expected)


def test_without_a_mask_every_token_counts(checkpoint):
    network = built(checkpoint, pooling="mean")
    ids = torch.tensor([[1, 60, 61, 2]])
    with torch.inference_mode():
        given = network(ids, attention_mask=torch.ones_like(ids)).logits
        torch.testing.assert_close(network(ids).logits, given)
        embedded = network.get_input_embeddings()(ids)
        torch.testing.assert_close(network(inputs_embeds=embedded).logits, given)


def test_labels_give_the_loss_that_the_trainer_of_transformers_wants(checkpoint):
    network = built(checkpoint, pooling="max")
    ids, labels = torch.tensor([[1, 60, 2], [1, 61, 2]]), torch.tensor([2, 0])
    output = network(ids, labels=labels, output_hidden_states=True)
    torch.testing.assert_close(output.loss, nn.functional.cross_entropy(output.logits, labels))
    assert len(output.hidden_states) == 3


def test_nothing_is_kept_that_is_never_trained(checkpoint):
    """BERT's pooler would be saved, and get no gradient."""
    network = built(checkpoint, pooling="mean")
    assert not [name for name, _ in network.named_parameters() if "pooler" in name]


def test_gradient_checkpointing_changes_no_gradient(checkpoint):
    network = built(checkpoint, pooling="mean").train()
    network.dropout.p = 0.0
    ids, labels = torch.tensor([[1, 60, 61, 2]]), torch.tensor([1])

    def gradients():
        network.zero_grad()
        network(ids, labels=labels).loss.backward()
        return {name: p.grad.clone() for name, p in network.named_parameters()}

    plain = gradients()
    network.gradient_checkpointing_enable()
    for name, gradient in gradients().items():
        torch.testing.assert_close(gradient, plain[name])


def test_a_config_says_all_of_the_shape():
    config = PooledConfig(encoder_config={"model_type": "bert"}, pooling="max", hidden=[4], dropout=0.2)
    again = PooledConfig.from_dict(config.to_dict())
    assert (again.encoder_config, again.pooling, again.hidden, again.dropout) == (
        {"model_type": "bert"},
        "max",
        [4],
        0.2,
    )


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet"])
@pytest.mark.parametrize("how", POOLINGS)
def test_a_text_beyond_the_positions_is_read_as_a_tokenizer_truncates_it(checkpoint, family, how):
    """So a pipeline that is not told to truncate gives an answer, and no error about sizes."""
    model = nt.TransferModel.load(checkpoint(family), nt.TextClassificationHead(["a", "b"], pooling=how))
    network, tokenizer, most = model.network.eval(), model.tokenizer, max_positions(model.encoder.config)
    texts = ["good " * 300 + "bad", "the coffee was warm", "sad " * (most - 2), "sad " * (most - 1)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    cut = tokenizer(texts, padding=True, return_tensors="pt", truncation=True, max_length=most)
    assert batch["input_ids"].shape[1] > cut["input_ids"].shape[1] == most
    with torch.inference_mode():
        torch.testing.assert_close(network(**batch).logits, network(**cut).logits)
        alone = network(batch["input_ids"][:1]).logits
        torch.testing.assert_close(alone, network(**cut).logits[:1], atol=1e-5, rtol=0)


def test_token_types_are_cut_with_the_tokens(checkpoint):
    model = nt.TransferModel.load(checkpoint("bert"), nt.TextClassificationHead(["a", "b"], pooling="mean", pairs=True))
    first, second = "good " * 10, "bad " * 300
    whole, cut = (
        model.tokenizer(first, second, return_token_type_ids=True, return_tensors="pt", **how)
        for how in ({}, {"truncation": "only_second", "max_length": max_positions(model.encoder.config)})
    )
    with torch.inference_mode():
        torch.testing.assert_close(model.network.eval()(**whole).logits, model.network(**cut).logits)
