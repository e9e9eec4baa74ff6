"""The head that places a text on an ordered scale."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from nlp_transfer.config import DataOptions, SentimentOptions
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.load import load_splits
from nlp_transfer.data.row_store import slices, stored, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.decoding import ScaleDecoder
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.heads.classification import TextClassificationHead
from nlp_transfer.heads.losses import with_label_frequencies
from nlp_transfer.heads.registry import register_head, text_head_for
from nlp_transfer.heads.task_head import TaskHead
from nlp_transfer.heads.text_head import are_pairs
from nlp_transfer.metrics import RowCounts, label_counts, sentiment_scores
from nlp_transfer.types import LabelSet, Scores, SentimentPrediction

# Scales whose order is plain from the names; each entry lists the spellings of one step.
_KNOWN_STEPS = (
    ("very negative", "very_negative", "strongly negative", "strong negative", "terrible"),
    ("negative", "neg", "bad"),
    ("neutral", "neu", "mixed", "okay", "ok"),
    ("positive", "pos", "good"),
    ("very positive", "very_positive", "strongly positive", "strong positive", "great"),
)


_MOST_LEVELS = 20  # a scale that people label by hand is shorter; more is a score that was never cut


@register_head
class SentimentHead(TextClassificationHead):
    """A classifier of ordered labels, lowest first: negative < neutral < positive, or 1..5 stars.

    >>> head = SentimentHead(["negative", "neutral", "positive"])
    >>> model.predict(["not bad at all"])[0].polarity

    Args:
        labels: lowest first.
        edges: the scores between levels, one fewer than labels, ascending: a score below the first edge is the first
            label, a score at an edge or above it is the next one.
        options: those of `TextClassificationHead`.

    Raises:
        OptionError: edges that are not ascending or do not fit the labels.
    """

    task = "sentiment"
    title = "sentiment"
    reads = "sentiment"
    recipe = "sentiment"
    task_options = SentimentOptions
    prediction = SentimentPrediction
    headline_scores = ("accuracy", "macro_f1", "mae_steps", "quadratic_kappa")

    def __init__(self, labels: Sequence[str] | LabelSet, *, edges: Sequence[float] = (), **options: Any) -> None:
        super().__init__(labels, **options)
        self.edges = tuple(edges)
        between = len(self.labels) - 1
        if self.edges and len(self.edges) != between:
            raise OptionError(f"{between + 1} levels need {between} edges between them; got {len(self.edges)}.")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise OptionError(f"edges must be ascending; got {', '.join(map(str, self.edges))}.")

    @classmethod
    def for_splits(
        cls,
        splits: Splits,
        levels: Sequence[str] = (),
        edges: Sequence[float] = (),
        **options: Any,
    ) -> SentimentHead:
        """The head for the labels in `splits.train`, in the order of `levels`, by default that of `in_order`."""
        counts = Counter(values(splits.train.data, "label"))
        labels = set(counts)
        if not levels and len(labels) > _MOST_LEVELS:
            raise DataError(
                f"{splits.train.source}: column '{splits.train.columns['label']}' has {len(labels):,} different "
                "labels, too many for a scale; cut a score into levels with --levels LOW ... HIGH and --level_edges "
                "NUMBER ..., or learn it as a number with --problem regression."
            )
        if levels and labels - set(levels):
            raise OptionError(
                f"--levels lacks labels of the data: {', '.join(sorted(labels - set(levels)))}; name all, lowest first."
            )
        names = levels or in_order(labels)
        at_least_one = {name: max(counts[name], 1) for name in names}  # a level may have no rows
        shape = with_label_frequencies(at_least_one, options)
        return cls(names, edges=edges, pairs=are_pairs(splits), **shape)

    @classmethod
    def load_task(cls, data: DataOptions, options: Any, seed: int = 0) -> tuple[Splits, TaskHead]:
        """The splits, with scores cut into levels if the options name `level_edges`, and this head, or that of numbers
        for `problem` regression."""
        shape = dict(vars(options))
        levels, edges = shape.pop("levels"), shape.pop("level_edges")

        def prepare(rows: Rows) -> Rows:
            return cut_into_levels(rows, levels, edges) if edges else rows

        splits = load_splits(data, cls.reads, seed, prepare)
        if data.problem == "regression":
            return splits, text_head_for(splits, **vars(options))
        return splits, cls.for_splits(splits, levels, edges, **shape)

    def options(self) -> dict[str, Any]:
        return super().options() | {"edges": list(self.edges)}

    def decoder(self) -> ScaleDecoder:
        return ScaleDecoder(**self.decoding_options(), temperature=self.temperature)

    def read_scores(self, rows: Rows) -> tuple[Rows, str]:
        if not self.edges:
            return super().read_scores(rows)
        edges = ", ".join(f"{edge:g}" for edge in self.edges)
        return cut_into_levels(rows, list(self.labels), self.edges), f", cut at {edges} as the target's"

    def score(self, predictions: Sequence[Any], references: Sequence[str]) -> Scores:
        return sentiment_scores([p.label for p in predictions], references, self.labels.names)

    def counts(self, predictions: Sequence[Any], references: Sequence[str]) -> RowCounts:
        return label_counts([p.label for p in predictions], references, self.labels.names)


def cut_into_levels(rows: Rows, levels: Sequence[str], edges: Sequence[float]) -> Rows:
    """Rows with the level of their score as label. Raises DataError for a score that is not a number."""
    if len(levels) != len(edges) + 1:
        raise OptionError(f"--level_edges has {len(edges)} edges, so --levels must name {len(edges) + 1} levels.")
    if problem_of(rows.data) != "single_label":
        raise OptionError("--level_edges and --problem regression cannot be combined; give one of them.")

    def level(score: str, line: int) -> str:
        place = _number(score)
        if place is None:
            raise DataError(
                f"{rows.source}, {rows.unit} {line}: '{score}' in column '{rows.columns['label']}' is not a "
                f"number, so --level_edges cannot cut it; correct it, or leave --level_edges out."
            )
        return levels[bisect.bisect_right(edges, place)]

    cut = (columns | {"label": list(map(level, columns["label"], columns["line"]))} for columns in slices(rows.data))
    return replace(rows, data=stored(cut, rows.data.features))


def are_scores(labels: Iterable[str]) -> bool:
    """Whether labels are scores rather than levels: numbers with fractions, or too many different ones."""
    names = set(labels)
    numbers = [_number(label) for label in names]
    return None not in numbers and (len(names) > _MOST_LEVELS or any(n != int(n) for n in numbers if n is not None))


def in_order(labels: Iterable[str]) -> list[str]:
    """Sentiment labels sorted lowest first by their names: numbers, stars, or negative .. positive.

    Raises DataError where the names have no known order, or where two labels name the same step.
    """
    names = sorted(set(labels))
    for place in (_place_by_name, _stars):
        places = {name: place(name) for name in names}
        if None not in places.values() and len(set(places.values())) == len(names):
            return sorted(names, key=lambda name: places[name] or 0.0)
    raise DataError(f"the labels {', '.join(names)} have no known order; give it, lowest first: --levels LOW ... HIGH")


def _place_by_name(name: str) -> float | None:
    plain = name.strip().lower()
    return next((float(i) for i, spellings in enumerate(_KNOWN_STEPS) if plain in spellings), None)


def _stars(name: str) -> float | None:
    return _number(name.strip().lower().removesuffix("stars").removesuffix("star"))


def _number(text: str) -> float | None:
    """The number that `text` spells, if it is finite: float() parses "nan" too, which has no place on a scale."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
