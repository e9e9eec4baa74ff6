"""Ways of training that were tried as defaults (`recipes/benchmarks/defaults.py`), each a strategy of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nlp_transfer as nt
from nlp_transfer.strategies.head_then_full import HeadThenFull
from nlp_transfer.strategies.param_groups import layer_groups
from nlp_transfer.strategies.strategy import Part, Stage


@nt.register_strategy
@dataclass
class RDrop(HeadThenFull):
    """R-Drop (Liang et al. 2021): each batch runs twice, and the two outputs, which dropout parts, are to agree."""

    name: ClassVar[str] = "tried_r_drop"

    r_drop_alpha: float = nt.option(1.0, help="weight of the divergence of the two outputs.", at_least=0)

    def loss(
        self, model: nt.TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        twice = {name: torch.cat([tensor, tensor]) for name, tensor in batch.items()}
        logits = module(**twice).logits
        first, second = logits.chunk(2)
        loss = model.head.loss(logits, torch.cat([labels, labels]), 2 * max(part.count, 1))
        p, q = F.log_softmax(first.float(), -1), F.log_softmax(second.float(), -1)
        apart = F.kl_div(p, q, log_target=True, reduction="none") + F.kl_div(q, p, log_target=True, reduction="none")
        counted = (labels >= 0)[..., None] if labels.ndim == first.ndim - 1 else torch.ones_like(apart)
        return loss + self.r_drop_alpha * (apart * counted).sum() / 2 / max(part.count, 1)


@nt.register_strategy
@dataclass
class LayerRates(HeadThenFull):
    """Layer-wise learning rates (Howard and Ruder 2018), after the head's stage."""

    name: ClassVar[str] = "tried_layer_rates"

    rate_decay: float = nt.option(0.9, help="factor of a layer's rate to that of the layer above it.", above=0)

    def groups(self, model: nt.TransferModel, learning_rate: float, weight_decay: float) -> Any:
        return layer_groups(self.trained(model), model.encoder, learning_rate, weight_decay, self.rate_decay)


@nt.register_strategy
@dataclass
class Averaged(HeadThenFull):
    """An exponential mean of the weights, whose memory is the last tenth of the steps (after Izmailov et al. 2018)."""

    name: ClassVar[str] = "tried_averaged"

    averaged_steps: float = nt.option(0.1, help="share of the steps whose weights are averaged.", above=0, at_most=1)

    def stages(self, encoder: nt.Encoder, epochs: float, learning_rate: float) -> Any:
        stages = super().stages(encoder, epochs, learning_rate)
        self._sum: dict[str, Tensor] = {}
        self._seen = 0
        return stages

    def start(self, model: nt.TransferModel, stage: Stage) -> None:
        super().start(model, stage)
        self._is_last = stage.frozen_layers == 0

    def loss(
        self, model: nt.TransferModel, module: nn.Module, batch: dict[str, Tensor], labels: Tensor, part: Part
    ) -> Tensor:
        if self._is_last:
            self._seen += 1
            self._observe(model)  # the weights after the step before
        return super().loss(model, module, batch, labels, part)

    def finish(self, model: nt.TransferModel) -> None:
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                # Word embeddings are those of the words of the data while training, and of all words here.
                if name in self._sum and self._sum[name].shape == parameter.shape:
                    parameter.copy_(self._sum[name])

    def _observe(self, model: nt.TransferModel) -> None:
        # An exponential mean needs no number of steps beforehand; its memory is the share of the steps so far.
        memory = max(1.0, self.averaged_steps * self._seen)
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                if not parameter.requires_grad:
                    continue
                if name not in self._sum:
                    self._sum[name] = parameter.detach().clone()
                else:
                    self._sum[name].lerp_(parameter, 1 / memory)
