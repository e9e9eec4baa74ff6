"""The contrastive loss is that of its formula, falls where labels gather, and counts labels alike."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from nlp_transfer.few_labels.contrast import contrastive_loss


def one_hot(*labels: int, count: int = 3) -> torch.Tensor:
    return F.one_hot(torch.tensor(labels), count)


def test_it_is_the_formula_of_the_paper():
    torch.manual_seed(0)
    vectors, labels, temperature = torch.randn(4, 5), [0, 0, 1, 1], 0.5
    z = F.normalize(vectors, dim=1)
    by_hand = 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        total = sum(math.exp(float(z[i] @ z[j]) / temperature) for j in others)
        positives = [j for j in others if labels[j] == labels[i]]
        by_hand -= sum(float(z[i] @ z[p]) / temperature - math.log(total) for p in positives) / len(positives) / 4
    assert float(contrastive_loss(vectors, one_hot(*labels), temperature)) == pytest.approx(by_hand, rel=1e-5)


def test_it_is_small_where_labels_gather_and_large_where_they_are_mixed():
    apart = torch.tensor([[1.0, 0], [1, 0.1], [-1, 0], [-1, 0.1]])
    together, mixed = (float(contrastive_loss(apart, one_hot(*labels), 0.1)) for labels in ([0, 0, 1, 1], [0, 1, 0, 1]))
    assert together < 0.1 < 5 < mixed


def test_a_label_of_many_rows_counts_as_much_as_one_of_few():
    torch.manual_seed(1)
    few, many = torch.randn(2, 4), torch.randn(2, 4)
    vectors = torch.cat([few, many.repeat(8, 1)])
    often = contrastive_loss(vectors, one_hot(0, 0, *[1] * 16), 1.0)
    z = F.normalize(vectors, dim=1)
    logs = (z @ z.T).masked_fill(torch.eye(18, dtype=torch.bool), -torch.inf).log_softmax(1)
    same = torch.tensor([0, 0, *[1] * 16])
    losses = [-logs[i][(same == same[i]) & (torch.arange(18) != i)].mean() for i in range(18)]
    by_label = (torch.stack(losses[:2]).mean() + torch.stack(losses[2:]).mean()) / 2
    assert float(often) == pytest.approx(float(by_label), rel=1e-5)


def test_several_labels_pull_by_the_share_they_have_in_common():
    vectors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], requires_grad=True)
    members = torch.tensor([[1, 1], [1, 1], [1, 0]])
    contrastive_loss(vectors, members, 1.0).backward()
    gradient = -vectors.grad[0]
    assert gradient[1] > gradient[2]  # the one with both labels pulls more than the one with one of them


def test_an_item_with_no_other_of_its_label_gives_no_loss_but_stands_among_the_others():
    alone = torch.randn(3, 4, requires_grad=True)
    loss = contrastive_loss(alone, one_hot(0, 1, 2), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(alone.grad, torch.zeros(3, 4))
    torch.manual_seed(0)
    vectors = torch.randn(3, 4)
    assert contrastive_loss(vectors, one_hot(0, 0, 1), 0.1) > contrastive_loss(vectors[:2], one_hot(0, 0), 0.1)


def test_an_item_without_any_label_is_finite():
    loss = contrastive_loss(torch.randn(3, 4, requires_grad=True), torch.tensor([[1, 0], [1, 0], [0, 0]]), 0.1)
    loss.backward()
    assert torch.isfinite(loss)
