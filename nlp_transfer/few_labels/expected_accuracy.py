"""The accuracy to expect of labels that nobody has checked, and probabilities that say no more than that."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nlp_transfer.few_labels.soft_layer import Layer
from nlp_transfer.few_labels.text_view import TextView, softmax
from nlp_transfer.few_labels.view_agreement import corrected_accuracy

log = logging.getLogger(__name__)

_OF_ONE_TEXT = 0.75
"""What is left of the accuracy beyond chance where both views begin at the same label texts, whose errors they share.

On ten data sets, from label names alone, it was 0.74 of what kappa promised.
"""

_LEAST = 0.4
"""The accuracy beyond chance below which labels are hardly told apart."""

_TEXTS_CHECKED_MOST = 5000  # whose mean probability is brought to the expected accuracy


@dataclass(frozen=True)
class Expectation:
    """What accuracy to expect: `beyond_chance`, from 0 to 1, of `labels` labels.

    `kappa_of_label_texts` and `kappa` are those between two views, before and after learning from raw texts;
    `is_upper_bound` where the views begin at the same texts of a label that has one alone.
    """

    beyond_chance: float
    labels: int
    kappa_of_label_texts: float
    kappa: float
    is_upper_bound: bool

    @property
    def accuracy(self) -> float:
        """The share of texts whose label is expected to be right."""
        return 1 / self.labels + (1 - 1 / self.labels) * self.beyond_chance

    @property
    def tells_labels_apart(self) -> bool:
        """Whether the labels are worth more than a guess."""
        return self.beyond_chance >= _LEAST

    def record(self) -> Mapping[str, float]:
        """What metrics.json holds of it."""
        return {
            "expected_accuracy": self.accuracy,
            "chance": 1 / self.labels,
            "kappa_of_label_texts": self.kappa_of_label_texts,
            "kappa": self.kappa,
            "tells_labels_apart": self.tells_labels_apart,
        }

    def log(self) -> None:
        """Say what is expected, and warn where labels are hardly told apart."""
        about = f"{100 * self.accuracy:.0f}% of labels, where chance is {100 / self.labels:.0f}%"
        if self.tells_labels_apart:
            log.info("Expected to be right, without having seen a label: about %s.", about)
        else:
            log.warning(
                "The encoder hardly tells these labels apart: expect about %s, and probabilities say no more than "
                "that. Describe each label in several sentences like the texts, take another --model_name_or_path or a "
                "--teacher, or label some rows.",
                about,
            )
        if self.is_upper_bound:
            log.info("Some labels have one text alone; two or more for each let the expected accuracy be told better.")


def expectation(view: TextView, before: float, after: float, of_teacher: float = 0.0) -> Expectation:
    """The accuracy to expect after steps that brought the kappa of two views from `before` to `after`.

    It is the mean of what both promise: the label texts by themselves are less right than what is learned from them,
    and after learning the errors of two views are less independent. Of each kappa a standard error over texts is taken
    off, which is next to nothing for thousands. A teacher's accuracy beyond chance counts where it is more.
    """
    has_one = bool((np.bincount(view.owners) < 2).any())
    error = len(view.vectors) ** -0.5
    beyond = (corrected_accuracy(before - error) + corrected_accuracy(after - error)) / 2
    beyond *= _OF_ONE_TEXT if has_one else 1.0
    return Expectation(max(beyond, of_teacher), int(view.owners.max()) + 1, before, after, has_one)


def tempered_to(accuracy: float, layer: Layer, vectors: np.ndarray) -> Layer:
    """The layer with logits multiplied by the one number that makes the mean of its likeliest probabilities `accuracy`.

    That changes no label. `vectors` `(rows, width)` are pooled states of texts like those that it will see.
    """
    weight, bias = layer
    logits = vectors[:: -(-len(vectors) // _TEXTS_CHECKED_MOST)] @ weight.T + bias
    low, high = 1e-3, 1e3
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if softmax(middle * logits).max(axis=1).mean() < accuracy else (low, middle)
    return middle * weight, middle * bias
