"""The plain values that travel between the parts: labels, spans, predictions, scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nlp_transfer.errors import DataError

Scores = dict[str, Any]
"""Metric name -> number, or -> {label: number} for metrics of each class or entity type."""


@dataclass(frozen=True, init=False)
class LabelSet:
    """The labels of a task; a label's place in `names` is its id in the network.

    >>> LabelSet(("no", "yes")).id("yes")
    1
    """

    names: tuple[str, ...]
    _ids: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __init__(self, names: Iterable[str]) -> None:
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "_ids", {name: i for i, name in enumerate(self.names)})
        if len(self._ids) != len(self.names):
            raise ValueError(f"label names repeat: {', '.join(self.names)}")

    def id(self, name: str) -> int:
        """The id of `name`. Raises DataError if the set does not hold it."""
        if name not in self._ids:
            raise DataError(f"the data has a label '{name}' that the head has not; its labels are {', '.join(self)}.")
        return self._ids[name]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids


@dataclass(frozen=True)
class Span:
    """An entity in a text: characters `start` to `end` (end excluded) of the text, and the score the model gave it."""

    type: str
    text: str
    start: int
    end: int
    score: float = 1.0


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one text: the label, its probability, and the probability of every label.

    Where it was `abstained` from, the label is the best guess, and not to be relied on.
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]
    abstained: bool = field(default=False, kw_only=True)

    @property
    def certainty(self) -> float:
        """How likely it is right, by its own account."""
        return self.probability


@dataclass(frozen=True)
class SentimentPrediction(Prediction):
    """A classifier's prediction on an ordered scale; `polarity` in [-1, 1] is the expected place on the scale."""

    polarity: float


@dataclass(frozen=True)
class MultiLabelPrediction:
    """The labels that a text has, maybe none, in the order of their ids, and the probability of every label.

    Where it was `abstained` from, the labels are the best guess, and not to be relied on.
    """

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    abstained: bool = field(default=False, kw_only=True)

    @property
    def certainty(self) -> float:
        """How likely the least sure label is rightly there, or rightly not, by its own account."""
        return min(p if name in self.labels else 1 - p for name, p in self.probabilities.items())


@dataclass(frozen=True)
class RegressionPrediction:
    """The number that a text, or a pair of texts, was given."""

    value: float


@dataclass(frozen=True)
class TagPrediction:
    """What a tagger says of one text: a tag and its probability for every word, and the entities they spell."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class RunResult:
    """What a training run came to: the best validation score and its epoch, what it cost, and how it went.

    `best_score` and `best_epoch` are None where there were no validation rows, so that the last weights were kept.
    `seed` is the one of the attempt that was kept, after `restarts` that collapsed; all but `seconds` is of that one.
    `seconds_spared` is what a run that was not stopped would have taken besides, had the cache not held what frozen
    layers give, less what it waited for it.
    """

    metric: str
    best_score: float | None
    best_epoch: float | None
    steps: int
    seconds: float
    rows_per_second: float
    trained_weights: int = 0
    history: tuple[Mapping[str, float], ...] = ()
    seed: int = 0
    restarts: int = 0
    seconds_spared: float = 0.0
