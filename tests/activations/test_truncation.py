"""A truncated network gives the logits of the whole one to the last bit, for every family, head and depth."""

from __future__ import annotations

import pytest
import torch
from conftest import FAMILIES, tiny_config
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

import nlp_transfer as nt
from nlp_transfer.activations.truncation import TruncatedEncoder, can_be_truncated, reading, states_at
from nlp_transfer.encoders.pooling.pooled_config import PooledConfig
from nlp_transfer.encoders.pooling.pooled_network import PooledClassifier

LAYERS = 3
LENGTHS = (9, 5)
AUTO = {"classification": AutoModelForSequenceClassification, "ner": AutoModelForTokenClassification}
POOLED = ("cls", "mean", "max")
READ_POOLED = ("albert", "bert", "ernie", "mobilebert", "nomic_bert")  # whose classifiers stand on the encoder's pooler


def network(family: str, head: str) -> PreTrainedModel:
    torch.manual_seed(0)
    config = tiny_config(family, 150, LAYERS)
    if head in POOLED:
        return PooledClassifier(PooledConfig(encoder_config=config.to_dict(), pooling=head, hidden=[8])).eval()
    return AUTO[head].from_config(config).eval()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 150, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
    return {"input_ids": ids * mask, "attention_mask": mask.long()}


def depths(encoder: nt.Encoder) -> list[int]:
    return [LAYERS] if encoder.shares_layers else [1, 2, LAYERS]


@pytest.mark.parametrize("head", [*AUTO, *POOLED])
@pytest.mark.parametrize("family", FAMILIES)
def test_grafted_logits_are_those_of_the_whole_network(family, head):
    whole, given = network(family, head), batch()
    encoder = nt.Encoder(whole)
    reads = reading(encoder)
    with torch.inference_mode():
        expected = whole(**given).logits
        kept = states_at(encoder, depths(encoder), reads, given)
        assert sorted(kept) == depths(encoder)
        for depth, found in kept.items():
            mask = given["attention_mask"]
            if depth == LAYERS and reads != "tokens":
                assert found.shape == (2, encoder.width)
                found, mask = found[:, None], mask[:, :1]
            with TruncatedEncoder(encoder, depth) as truncated:
                assert torch.equal(whole(inputs_embeds=found, attention_mask=mask).logits, expected)
                with truncated.complete():
                    assert torch.equal(whole(**given).logits, expected)
                assert torch.equal(whole(inputs_embeds=found, attention_mask=mask).logits, expected)
        assert torch.equal(whole(**given).logits, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_head_reads_is_found(family):
    native = "pooled" if family in READ_POOLED else "first"
    wanted = {"classification": native, "ner": "tokens", "cls": "first", "mean": "mean", "max": "max"}
    assert {head: reading(nt.Encoder(network(family, head))) for head in wanted} == wanted


def test_modernberts_own_mean_pooling_is_kept_as_one_vector():
    config = tiny_config("modernbert", 150, LAYERS)
    config.classifier_pooling = "mean"
    torch.manual_seed(0)
    whole, given = AutoModelForSequenceClassification.from_config(config).eval(), batch()
    encoder = nt.Encoder(whole)
    assert reading(encoder) == "mean"
    with torch.inference_mode():
        kept = states_at(encoder, [LAYERS], "mean", given)[LAYERS]
        with TruncatedEncoder(encoder, LAYERS):
            got = whole(inputs_embeds=kept[:, None], attention_mask=given["attention_mask"][:, :1]).logits
        torch.testing.assert_close(got, whole(**given).logits, rtol=0, atol=1e-6)


def test_a_grafted_network_has_no_lower_layers_and_is_whole_after_an_error():
    whole = network("bert", "classification")
    names = [name for name, _ in whole.named_parameters()]
    encoder = nt.Encoder(whole)
    with TruncatedEncoder(encoder, 2):
        left = {name for name, _ in whole.named_parameters()}
        assert not any("embeddings" in name for name in left)
        assert {name.split(".")[3] for name in left if "layer." in name} == {"0"}
    assert [name for name, _ in whole.named_parameters()] == names
    with pytest.raises(ValueError, match="input_ids"), TruncatedEncoder(encoder, 2):  # from transformers
        whole(no_such="input")
    assert [name for name, _ in whole.named_parameters()] == names


def test_layers_above_what_is_wanted_do_not_run():
    whole = network("bert", "classification")
    encoder, ran = nt.Encoder(whole), []
    for place, layer in enumerate(encoder.layers):
        layer.register_forward_hook(lambda *_, place=place: ran.append(place))
    with torch.no_grad():
        states_at(encoder, [1, 2], "pooled", batch())
    assert ran == [0, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_tried_whether_a_network_can_be_taken_apart(family):
    encoder = nt.Encoder(network(family, "classification").train())
    read = reading(encoder)
    assert all(can_be_truncated(encoder, d, read if d == LAYERS else "tokens", batch()) for d in depths(encoder))
    assert encoder.network.training


def test_a_network_that_cannot_be_taken_apart_is_noticed():
    """RemBERT has a projection of its own between embeddings and layers."""
    config = AutoConfig.for_model(
        "rembert", vocab_size=150, hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=2,
        intermediate_size=64, input_embedding_size=16, output_embedding_size=16, pad_token_id=0,
    )  # fmt: skip
    encoder = nt.Encoder(AutoModelForSequenceClassification.from_config(config))
    assert not can_be_truncated(encoder, 1, "tokens", batch())
