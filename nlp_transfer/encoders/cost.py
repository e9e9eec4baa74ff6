"""Memory and floating-point operations of a training, and the memory that is free."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import nn

from nlp_transfer.encoders.encoder import Encoder

FORMULA = (
    "model FLOPs of training = sum over layers of [2 x weights of its linear maps x tokens x passes + 4 x width x sum "
    "of squared row lengths x passes]; a pass is the forward one, one more where gradients go through the layer, and "
    "for a linear map one more where its weights train (3 where all train, 2 for frozen weights among trained ones, 1 "
    "under all that trains; attention has no weights and takes 3 or 1). Counted are real tokens, no padding; not "
    "counted are embeddings, norms, pooler and head. Utilisation = these FLOPs / (seconds of training x FLOP/s of the "
    "fastest square matrix product measured in the precision that was trained in)."
)
"""What `training_flops` counts, in a sentence for reports."""

_CGROUP = Path("/sys/fs/cgroup")
# Of a container: limit, use, and the file and field with the page cache that the kernel frees on demand; v2, then v1.
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
_WEIGHT = 4  # bytes of a weight in fp32
_TRAINED = 16  # bytes of its gradient, AdamW's two moments and the copy of the best
_LOW = {"bf16": 2, "fp16": 2}  # bytes of a weight's copy in a lower precision
_A_STATE = 34  # bytes a token, layer and unit of width (Korthikanti et al. 2022, section 4), at two bytes a number
_A_SCORE = {"sdpa": 16, "eager": 32}  # bytes a token, layer, head and token attended to, measured on processors


def training_memory(
    encoder: Encoder,
    lengths: Sequence[int] | np.ndarray,
    rows: int,
    precision: str,
    all_weights: bool = True,
    on_gpu: bool = False,
) -> int:
    """An estimate of the bytes that training an encoder takes, weights included, in a step of its `rows` longest rows.

    `lengths` are tokens a row, `(rows,)`, and `precision` is one of `no`, `bf16` and `fp16`. With `all_weights` false
    few weights train, as under LoRA: gradients go through all layers, other weights have none, and adapters hold about
    as much as the layers do besides attention. A weight takes 4 bytes, and 16 more where it trains. Activations are
    counted as Korthikanti et al. do (2022, "Reducing activation recomputation in large transformer models", equation
    2), but a score of attention takes 16 bytes and not 5 on processors, 32 in families without SDPA, and none where
    SDPA keeps none: on GPUs, and without dropout. MiniLM and BERT-base were measured at 0.9 to 1.25 times
    this estimate with 66 to 255 tokens a row; other families take up to half as much again.
    """
    longest, rows = int(np.max(lengths)), min(rows, len(lengths))
    heads = getattr(encoder.config, "num_attention_heads", None) or max(1, encoder.width // 64)
    state = encoder.width * _A_STATE * (1 if precision in _LOW else 2) * (1 if all_weights else 2)
    a_token = encoder.depth * (state + _bytes_of_a_score(encoder, on_gpu) * heads * longest)
    a_weight = _WEIGHT + _LOW.get(precision, 0) + (_TRAINED if all_weights else 0)
    return rows * longest * a_token + encoder.parameter_count * a_weight


def free_memory(device: torch.device | None = None) -> int:
    """Bytes of memory that are free: on a GPU, or on the machine, or in the container (cgroup) of this process."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, cache in _CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError, KeyError):  # no container, or one without a limit ("max")
            parts = dict(line.split() for line in (_CGROUP / statistics).read_text().splitlines())
            room = int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text())
            free = min(free, room + int(parts[cache]))
    return free


def training_flops(encoder: Encoder, lengths: Sequence[int] | np.ndarray, first_layer: int = 0) -> int:
    """FLOPs of one forward and backward pass over rows of `lengths` real tokens, `(rows,)`, as the weights train now.

    A linear map of n weights takes 2n for each token, and attention, in a row of L tokens, 4 L width for each token:
    2 L width for the scores, as many for the sums (Kaplan et al. 2020, "Scaling laws", section 2.1). A backward pass
    takes as much for the gradients of a map's input, and as much again for those of its weights, if they train.
    Utilisation by such a count is that of Chowdhery et al. (2022, "PaLM", appendix B).

    Layers under `first_layer` are left out: with cached activations of frozen layers, they do not run. The
    attention of DeBERTa and ConvBERT is counted as BERT's, and local attention as if it were global.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    tokens, squares = int(sizes.sum()), int((sizes**2).sum())
    total, frozen = 0, encoder.frozen_layers
    for depth in range(first_layer, encoder.depth):
        has_gradients = depth >= frozen
        layer = encoder.layers[depth * len(encoder.layers) // encoder.depth]  # ALBERT has fewer than it is deep
        total += 4 * encoder.width * squares * (3 if has_gradients else 1)
        for linear in layer.modules():
            if isinstance(linear, nn.Linear):
                passes = 1 + has_gradients + linear.weight.requires_grad
                total += 2 * linear.weight.numel() * tokens * passes
    return total


def _bytes_of_a_score(encoder: Encoder, on_gpu: bool) -> int:
    attention = getattr(encoder.config, "_attn_implementation", None) or "eager"
    if attention not in _A_SCORE:
        return 0  # flash attention and the like
    drops = any(getattr(encoder.config, name, 0) for name in ("attention_probs_dropout_prob", "attention_dropout"))
    return 0 if attention == "sdpa" and (on_gpu or not drops) else _A_SCORE[attention]
