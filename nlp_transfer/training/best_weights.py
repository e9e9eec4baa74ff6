"""The weights of the best evaluation of a run."""

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

_LEAST_FALL = 0.01  # of the loss, as a share: less is no progress


@dataclass
class BestWeights:
    """The best evaluation and its weights; of several with the same score, the one with the lowest loss.

    Thirty validation rows tie often, and the first of the evaluations that do is the one that has learned least. For
    patience a tie is no progress, unless the loss still falls: `misses` counts evaluations since either was better than
    all before in its stage. A tagger finds nothing at first, and a network may begin below what its head has reached.

    `parameters` are those that may train, by name; each stage of a run trains some of them, and `trained` holds the
    sizes of those that some stage has trained.
    """

    metric: str
    parameters: Mapping[str, nn.Parameter]
    score: float = -math.inf
    loss: float = math.inf
    epoch: float = 0.0
    misses: int = 0
    stage_score: float = -math.inf
    stage_loss: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    trained: dict[str, int] = field(default_factory=dict)

    def start_stage(self) -> None:
        """Copy the weights that train from now on too: they are still what they were at the best evaluation."""
        self.misses, self.stage_score, self.stage_loss = 0, -math.inf, math.inf
        self.trained |= {name: size(p) for name, p in self.parameters.items() if p.requires_grad}
        if self.weights:
            self.weights = self._copies() | self.weights

    def update(self, epoch: float, scores: Scores) -> None:
        """Copy the weights that train, or have trained, if this evaluation is the best so far."""
        score = -scores[self.metric] if self._is_error else scores[self.metric]
        loss = scores.get("loss", math.inf)
        is_progress = score > self.stage_score or loss < (1 - _LEAST_FALL) * self.stage_loss
        self.misses = 0 if is_progress else self.misses + 1
        self.stage_score = max(score, self.stage_score)
        self.stage_loss = loss if loss < self.stage_loss else self.stage_loss  # not where it is NaN
        if not (score, -loss) > (self.score, -self.loss):  # nor is a loss of NaN
            return
        self.score, self.loss, self.epoch = score, loss, epoch
        self.weights = self._copies()

    def has_stalled(self, patience: int | None) -> bool:
        """Whether `patience` evaluations in a row were no better; never with a patience of None or 0."""
        return bool(patience) and self.misses >= (patience or 0)

    def restore(self) -> float | None:
        """Load the best weights, and return the best score; None where there was no evaluation."""
        if self.score == -math.inf:
            return None
        with torch.no_grad():
            for name, weights in self.weights.items():
                self.parameters[name].copy_(weights)
        self.weights = {}
        return -self.score if self._is_error else self.score

    @property
    def trained_weights(self) -> int:
        """How many weights some stage has trained."""
        return sum(self.trained.values())

    def state_dict(self) -> dict[str, Any]:
        """The state without the weights, as plain values."""
        return {
            "score": self.score,
            "loss": self.loss,
            "epoch": self.epoch,
            "misses": self.misses,
            "stage_score": self.stage_score,
            "stage_loss": self.stage_loss,
            "trained": self.trained,
        }

    def load_state_dict(self, values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Load what `state_dict` returned, and the `weights` of that time."""
        self.score, self.loss = values["score"], values["loss"]
        self.epoch, self.misses = values["epoch"], values["misses"]
        self.stage_score, self.stage_loss = values["stage_score"], values["stage_loss"]
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
