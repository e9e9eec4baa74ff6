"""How are parts of a network's states dropped in training, without waiting for random numbers?"""

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
_OF = 65536  # shares are rounded to a part of this


def drop(x: Tensor, p: float) -> Tensor:
    """Dropout (Srivastava et al. 2014): `x` with a share of about `p` zero, and the others larger by as much.

    `p` is rounded to 1/65536. PyTorch's own waits for one number of a Mersenne Twister for each value, which is a
    seventh of a training step on a CPU. This draws a seed from it, so that `torch.manual_seed` decides as ever, and
    the bits from SFC64 (Chris Doty-Humphrey's "Practically Random"), 16 for each value.
    """
    dropped = round(p * _OF)
    if dropped in (0, _OF):
        return x if not dropped else x * 0
    seed = int(torch.randint(2**62, ()))
    draws = np.random.SFC64(seed).random_raw(-(-x.numel() // 4)).view(np.uint16)[: x.numel()]
    kept = torch.from_numpy((draws >= dropped).view(np.int8)).view(x.shape)
    return x * kept.to(x.dtype).mul_(_OF / (_OF - dropped))


@contextlib.contextmanager
def quick_dropout(module: nn.Module) -> Iterator[None]:
    """Inside, what a module drops in training on a CPU is drawn quickly; elsewhere nothing changes.

    That goes for its `nn.Dropout` modules, and for attention where its networks use SDPA of transformers: on a CPU
    PyTorch has no fused kernel for attention with dropout, and what it does instead is slower than `_attention`.
    """
    devices = {p.device.type for p in module.parameters()}
    ours = [m for m in module.modules() if type(m) is nn.Dropout] if devices == {"cpu"} else []
    networks = [m for m in module.modules() if isinstance(m, PreTrainedModel)] if devices == {"cpu"} else []
    networks = [n for n in networks if n.config._attn_implementation == "sdpa" and n._can_set_attn_implementation()]
    try:
        for layer in ours:
            layer.__class__ = _Dropout
        for network in networks:
            network.set_attn_implementation(_ATTENTION)
        yield
    finally:
        for layer in ours:
            layer.__class__ = nn.Dropout
        for network in networks:
            network.set_attn_implementation("sdpa")


class _Dropout(nn.Dropout):
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
    shares = drop(torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype), dropout)
    return torch.matmul(shares, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
