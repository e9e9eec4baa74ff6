"""Dropout drops the given share, keeps the mean, and leaves the network as it was."""

from __future__ import annotations

import pytest
import torch
from conftest import FAMILIES
from torch import nn
from transformers import AutoConfig, AutoModel

from nlp_transfer.training import fast_dropout
from nlp_transfer.training.fast_dropout import drop, with_fast_dropout


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_dropped_and_the_rest_makes_up_for_it(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(301, 999, dtype=dtype, requires_grad=True)
    y = drop(x, p)
    y.float().sum().backward()
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert y.unique().tolist() == pytest.approx([*([0.0] if p else []), *([1 / (1 - p)] if p < 1 else [])], rel=0.01)
    assert torch.equal(x.grad, y)  # where it drops, nothing is learned
    per_row, per_column = (y == 0).float().mean(1), (y == 0).float().mean(0)
    assert per_row.std() < 0.03
    assert per_column.std() < 0.05


def test_the_seed_decides_and_no_two_draws_are_alike():
    x = torch.randn(7, 5)
    torch.manual_seed(3)
    first, second = drop(x, 0.3), drop(x, 0.3)
    torch.manual_seed(3)
    assert torch.equal(drop(x, 0.3), first)
    assert not torch.equal(first, second)


def test_nothing_comes_of_nothing():
    assert drop(torch.zeros(0, 4), 0.1).shape == (0, 4)


SHARES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "mlp_dropout")


def network(checkpoint, family: str, p: float) -> nn.Module:
    config = AutoConfig.from_pretrained(checkpoint(family))
    config.update({name: p for name in SHARES if hasattr(config, name)})
    return AutoModel.from_pretrained(checkpoint(family), config=config)


def batch() -> dict[str, torch.Tensor]:
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[0, 4:] = mask[1, 7:] = 0
    return {
        "input_ids": torch.randint(3, 20, (3, 9), generator=torch.Generator().manual_seed(0)),
        "attention_mask": mask,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_all_but_what_is_dropped_is_what_the_network_computes(checkpoint, family, monkeypatch):
    net, given = network(checkpoint, family, 0.3), batch()
    real = given["attention_mask"].bool()
    expected = net.eval()(**given).last_hidden_state[real]
    asked = []
    monkeypatch.setattr(fast_dropout, "drop", lambda x, p: asked.append(p) or x)
    with with_fast_dropout(net):
        found = net.train()(**given).last_hidden_state[real]
    assert len(asked) > 2
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_network_is_what_it_was_and_evaluation_is_too(checkpoint, family):
    net, given = network(checkpoint, family, 0.1), batch()
    before = [type(m) for m in net.modules()], net.config.to_dict(), net.config._attn_implementation
    expected = net.eval()(**given).last_hidden_state
    with with_fast_dropout(net):
        assert torch.equal(net.eval()(**given).last_hidden_state, expected)
        assert not torch.equal(net.train()(**given).last_hidden_state, expected)
    assert ([type(m) for m in net.modules()], net.config.to_dict(), net.config._attn_implementation) == before
    assert torch.equal(net.eval()(**given).last_hidden_state, expected)
