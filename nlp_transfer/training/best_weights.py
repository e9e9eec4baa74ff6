"""Which weights were best?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nlp_transfer.metrics import is_error
from nlp_transfer.training.vocabulary_pruning import size
from nlp_transfer.types import Scores


@dataclass
class Best:
    """The best evaluation and its weights; of several that score the same, the one of the least loss.

    Thirty validation rows tie often, and the first of the evaluations that do is the one that has learned least. For
    patience a tie is no progress: `misses` counts evaluations since the last better score.

    `parameters` are those that may train, by name; each stage of a run trains some of them, and `trained` says how
    many weights those have that some stage has trained.
    """

    metric: str
    parameters: Mapping[str, nn.Parameter]
    score: float = -math.inf
    loss: float = math.inf
    epoch: float = 0.0
    misses: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    trained: dict[str, int] = field(default_factory=dict)

    def start_stage(self) -> None:
        """What trains from now on is still what it was at the best evaluation, and has to be kept with it."""
        self.misses = 0
        self.trained |= {name: size(p) for name, p in self.parameters.items() if p.requires_grad}
        if self.weights:
            self.weights = self._copies() | self.weights

    def see(self, epoch: float, scores: Scores) -> None:
        """Look at an evaluation, and copy the weights that train, or have trained, if it is the best so far."""
        score = -scores[self.metric] if self._is_error else scores[self.metric]
        loss = scores.get("loss", math.inf)
        self.misses = 0 if score > self.score else self.misses + 1
        if not (score, -loss) > (self.score, -self.loss):  # nor is a loss that is no number
            return
        self.score, self.loss, self.epoch = score, loss, epoch
        self.weights = self._copies()

    def restore(self) -> float | None:
        """Put the best weights back, and give the best score; None where there was no evaluation."""
        if self.score == -math.inf:
            return None
        with torch.no_grad():
            for name, kept in self.weights.items():
                self.parameters[name].copy_(kept)
        self.weights = {}
        return -self.score if self._is_error else self.score

    @property
    def trained_weights(self) -> int:
        """How many weights some stage has trained."""
        return sum(self.trained.values())

    def values(self) -> dict[str, Any]:
        """All but the weights, as plain values."""
        return {
            "score": self.score,
            "loss": self.loss,
            "epoch": self.epoch,
            "misses": self.misses,
            "trained": self.trained,
        }

    def put_back(self, values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Go on from what `values` gave, and the `weights` of then."""
        self.score, self.loss = values["score"], values["loss"]
        self.epoch, self.misses = values["epoch"], values["misses"]
        self.trained = dict(values["trained"])
        self.weights = dict(weights)

    def _copies(self) -> dict[str, Tensor]:
        return {
            name: parameter.detach().cpu().clone()
            for name, parameter in self.parameters.items()
            if name in self.trained
        }

    @property
    def _is_error(self) -> bool:
        return is_error(self.metric)
