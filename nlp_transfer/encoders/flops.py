"""How many floating-point operations does it take to train an encoder?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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


def training_flops(encoder: Encoder, lengths: Sequence[int] | np.ndarray, first_layer: int = 0) -> int:
    """FLOPs of one forward and backward pass over rows of `lengths` real tokens, `(rows,)`, as the weights train now.

    A linear map of n weights takes 2n for each token, and attention, in a row of L tokens, 4 L width for each token:
    2 L width for the scores, as many for the sums (Kaplan et al. 2020, "Scaling laws", section 2.1). A backward pass
    takes as much for the gradients of what a map was given, and as much again for those of its weights, where they
    train. Utilisation by such a count is that of Chowdhery et al. (2022, "PaLM", appendix B).

    Layers under `first_layer` are left out: where they stay still and what they gave is kept, they do not run. The
    attention of DeBERTa and ConvBERT is counted as BERT's, and local attention as if it were global.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    tokens, squares = int(sizes.sum()), int((sizes**2).sum())
    total, still = 0, encoder.frozen_layers
    for depth in range(first_layer, encoder.depth):
        has_gradients = depth >= still
        layer = encoder.layers[depth * len(encoder.layers) // encoder.depth]  # ALBERT has fewer than it is deep
        total += 4 * encoder.width * squares * (3 if has_gradients else 1)
        for linear in layer.modules():
            if isinstance(linear, nn.Linear):
                passes = 1 + has_gradients + linear.weight.requires_grad
                total += 2 * linear.weight.numel() * tokens * passes
    return total
