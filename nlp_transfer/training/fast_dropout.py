"""Dropout with a fast random number generator, for training on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_ATTENTION = "nlp_transfer"  # the name under which transformers finds ours
_PARTS = 65536  # probabilities are rounded to a multiple of one part


def drop(x: Tensor, p: float) -> Tensor:
    """Dropout (Srivastava et al. 2014) of `x` with probability `p`, rounded to 1/65536.

    PyTorch's own draws a number of a Mersenne Twister for each value, which takes a seventh of a training step on a
    CPU. This draws a seed from it, so that `torch.manual_seed` decides as ever, and the bits from SFC64 (Chris
    Doty-Humphrey's "Practically Random"), 16 for each value.
    """
    dropped = round(p * _PARTS)
    if dropped in (0, _PARTS):
        return x if not dropped else x * 0
    seed = int(torch.randint(2**62, ()))
    draws = np.random.SFC64(seed).random_raw(-(-x.numel() // 4)).view(np.uint16)[: x.numel()]
    mask = torch.from_numpy((draws >= dropped).view(np.int8)).view(x.shape)
    return x * mask.to(x.dtype).mul_(_PARTS / (_PARTS - dropped))


@contextlib.contextmanager
def with_fast_dropout(module: nn.Module) -> Iterator[None]:
    """Inside, a module on a CPU uses `drop`, in its `nn.Dropout` modules and in attention; elsewhere nothing changes.

    Attention is replaced where a network uses SDPA of transformers: on a CPU PyTorch has no fused kernel for attention
    with dropout, and its fallback is slower than `_attention`. That goes through the registry of transformers. There is
    none for dropout, so the class of `nn.Dropout` modules is changed in place: a hook would come after PyTorch's own
    draw, and a module put in their place would not share their `training`, which changes inside.
    """
    devices = {p.device.type for p in module.parameters()}
    dropouts = [m for m in module.modules() if type(m) is nn.Dropout] if devices == {"cpu"} else []
    networks = [m for m in module.modules() if isinstance(m, PreTrainedModel)] if devices == {"cpu"} else []
    networks = [n for n in networks if n.config._attn_implementation == "sdpa" and n._can_set_attn_implementation()]
    try:
        for layer in dropouts:
            layer.__class__ = _FastDropout
        for network in networks:
            network.set_attn_implementation(_ATTENTION)
        yield
    finally:
        for layer in dropouts:
            layer.__class__ = nn.Dropout
        for network in networks:
            network.set_attn_implementation("sdpa")


class _FastDropout(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training else x


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers asks for it; `query`, `key` and `value` are `(batch, heads, tokens, width)`."""
    causal = kwargs.get("is_causal", getattr(module, "is_causal", True))
    if not dropout or query.shape != key.shape or causal or kwargs.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(-1, -2))
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    probabilities = drop(torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype), dropout)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
