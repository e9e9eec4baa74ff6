"""Dropout drops the share that it is told, and keeps the mean."""

from __future__ import annotations

import pytest
import torch

from nlp_transfer.adapters.dropout import ByteDropout


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_dropped_and_the_rest_makes_up_for_it(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(301, 999, dtype=dtype, requires_grad=True)
    y = ByteDropout(p)(x)
    y.float().sum().backward()
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert y.unique().tolist() == pytest.approx([*([0.0] if p else []), *([1 / (1 - p)] if p < 1 else [])], rel=0.01)
    assert torch.equal(x.grad, y)  # where it drops, nothing is learned
    per_row, per_column = (y == 0).float().mean(1), (y == 0).float().mean(0)
    assert per_row.std() < 0.03
    assert per_column.std() < 0.05


def test_the_seed_decides_and_evaluation_changes_nothing():
    x, drop = torch.randn(7, 5), ByteDropout(0.3)
    torch.manual_seed(3)
    first = drop(x)
    torch.manual_seed(3)
    assert torch.equal(drop(x), first)
    assert torch.equal(drop.eval()(x), x)
