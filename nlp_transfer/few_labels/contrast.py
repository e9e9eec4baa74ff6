"""Supervised contrast over texts and label texts: what shares a label moves together, all else apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive_loss(vectors: Tensor, members: Tensor, temperature: float) -> Tensor:
    """The mean supervised contrastive loss of items, whose positives are all others with a label of theirs, `()`.

    `vectors` are `(items, width)`, and `members` `(items, labels)` is 1 where an item has a label. Where items have
    several, a positive counts by the share of labels that both have. Each label counts alike, however many of the items
    have it; an item without a positive counts only among the others. (Khosla et al. 2020, "Supervised contrastive
    learning", equation 2; with label texts as items: Yehudai and Bendel 2024, "When LLMs are unfit, use FastFit".)
    """
    members = members.float()
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    directions = F.normalize(vectors.float(), dim=1)
    similarities = (directions @ directions.T / temperature).masked_fill(itself, -torch.inf)
    log_shares = (similarities - similarities.logsumexp(dim=1, keepdim=True)).masked_fill(itself, 0.0)
    shared = members @ members.T
    own = members.sum(dim=1)
    positives = (shared / (own[:, None] + own[None] - shared).clamp(min=1)).masked_fill(itself, 0.0)
    counts = positives.sum(dim=1)
    losses = -(log_shares * positives).sum(dim=1) / counts.clamp(min=1e-9)
    rarity = (members / members.sum(dim=0).clamp(min=1)).sum(dim=1) / own.clamp(min=1)
    weights = torch.where(counts > 0, rarity, 0.0)
    return (losses * weights).sum() / weights.sum().clamp(min=1e-9)
