"""Scores on slices of the rows: by length, rare words, label frequency."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nlp_transfer.metrics import RowCounts, interval
from nlp_transfer.run.report.score_table import draws_for

_WORD = re.compile(r"\w+")
_NOT_RARE = 3  # training rows with a word
_SHARES = ((0.0, "no rare word"), (0.1, "up to 10% rare"), (0.25, "10 to 25% rare"), (1.0, "more than 25% rare"))
FEWEST_ROWS = 10
"""Smaller slices have no interval: if all their rows are right, so is every bootstrap draw."""

_FEWER_DRAWS = 4  # the factor: there are many slices, whose intervals may be rough


class Grouping(NamedTuple):
    """A grouping of rows: its criterion, the names of the groups, and each row's group, `(rows,)`; -1 is none."""

    by: str
    names: Sequence[str]
    group: np.ndarray


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """The number of texts with each word."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(words_of(text)))
    return counts


def by_length(lengths: Sequence[int]) -> Grouping:
    """Quarters of the rows, by the number of words."""
    return _quantiles("length of the text", np.asarray(lengths), 4, "{} words", "{} to {} words")


def by_rare_words(rows: Sequence[Sequence[str]], in_train: Mapping[str, int]) -> Grouping:
    """By the share of a text's words that few training rows have, or none."""
    shares = [sum(in_train.get(word, 0) < _NOT_RARE for word in words) / max(len(words), 1) for words in rows]
    group = np.searchsorted([share for share, _ in _SHARES], np.asarray(shares) - 1e-12)
    return Grouping(f"rare words (in fewer than {_NOT_RARE} training rows)", [name for _, name in _SHARES], group)


def by_label_frequency(references: Sequence[str], trained_on: Mapping[str, int]) -> Grouping:
    """Thirds of the labels, by their number of training rows; four labels or fewer have a group each."""
    labels = sorted(trained_on, key=lambda name: (trained_on[name], name))
    by = "training rows of the true label"
    if len(labels) <= 4:
        names = [f"{name}: {trained_on[name]:,}" for name in labels]
        return Grouping(by, names, np.array([labels.index(name) for name in references]))
    counts = np.array([trained_on[name] for name in references])
    # Quantiles of labels, not of rows, of which most have a frequent label.
    edges = np.unique(np.quantile([trained_on[name] for name in labels], [1 / 3, 2 / 3], method="lower"))
    return _at_edges(by, counts, edges, "{:,}", "{:,} to {:,}")


def by_rarest_label(references: Sequence[Sequence[str]], trained_on: Mapping[str, int]) -> Grouping:
    """The same for rows of several labels, by the least frequent one of each row."""
    labelled = np.array([bool(row) for row in references])
    rarest = [min(row, key=lambda name: (trained_on[name], name)) for row in references if row]
    by, names, of_labelled = by_label_frequency(rarest, trained_on)
    group = np.full(len(references), len(names))
    group[labelled] = of_labelled
    return Grouping(f"{by}, of several the rarest", [*names, "no label"], group)


def by_rarest_type(references: Sequence[Sequence[str]], trained_on: Mapping[str, int]) -> Grouping:
    """Sentences by the least frequent type of their entities; `trained_on` counts training entities by type.

    Sentences without an entity are in no group: their F1 is 0, whatever a tagger predicts.
    """
    _, names, group = by_rarest_label(references, dict.fromkeys(itertools.chain(*references), 0) | dict(trained_on))
    with_entities = np.where([bool(row) for row in references], group, -1)
    return Grouping("training entities of the rarest true type", names[:-1], with_entities)


def by_number(references: Sequence[float]) -> Grouping:
    """Thirds of the rows, by the true number."""
    values = np.asarray(references, dtype=np.float64)
    edges = np.unique(np.quantile(values, [1 / 3, 2 / 3]))
    group = np.searchsorted(edges, values)
    names = [f"{values[group == i].min():.3g} to {values[group == i].max():.3g}" if (group == i).any() else ""
             for i in range(len(edges) + 1)]  # fmt: skip
    return Grouping("true number", names, group)


def by_set_size(references: Sequence[Sequence[str]]) -> Grouping:
    """By the number of labels of a row."""
    sizes = np.minimum([len(set(row)) for row in references], 3)
    return Grouping("labels of the row", ["no label", "1 label", "2 labels", "3 labels or more"], sizes)


def scores_by_slice(groupings: Iterable[Grouping], counts: RowCounts, metric: str) -> list[dict[str, Any]]:
    """The score of each group that has rows, with its 95% interval, for groupings of two such groups or more."""
    scored = []
    for by, names, group in groupings:
        slices = []
        for place, name in enumerate(names):
            rows = np.flatnonzero(group == place)
            if len(rows):
                draws = draws_for(len(rows)) // _FEWER_DRAWS
                score = interval(RowCounts(counts.counts[rows], counts.scores), draws)[metric]
                slices.append(_slice(name, len(rows), *score))
        if len(slices) > 1:
            scored.append({"by": by, "metric": metric, "slices": slices})
    return scored


def recall_by_group(by: str, names: Sequence[str], hits: Sequence[Sequence[bool]]) -> dict[str, Any] | None:
    """The recall of each group of entities, with its 95% interval (Wilson 1927); None for fewer than two groups."""
    from scipy.stats import binomtest  # slow to import

    slices = []
    for name, of_group in zip(names, hits, strict=True):
        if of_group:
            found, count = sum(of_group), len(of_group)
            ends = binomtest(found, count).proportion_ci(method="wilson")
            slices.append(_slice(name, count, found / count, float(ends.low), float(ends.high)))
    return {"by": by, "metric": "recall", "slices": slices} if len(slices) > 1 else None


def _slice(name: str, rows: int, score: float, low: float, high: float) -> dict[str, Any]:
    enough = rows >= FEWEST_ROWS
    return {
        "name": name,
        "rows": rows,
        "score": score,
        "low": low if enough else None,
        "high": high if enough else None,
    }


def _quantiles(by: str, values: np.ndarray, parts: int, one: str, several: str) -> Grouping:
    edges = np.unique(np.quantile(values, np.arange(1, parts) / parts, method="lower"))
    return _at_edges(by, values, edges, one, several)


def _at_edges(by: str, values: np.ndarray, edges: np.ndarray, one: str, several: str) -> Grouping:
    """Groups of integers up to each edge, named by their least and largest value."""
    group = np.searchsorted(edges, values)
    names = []
    for place in range(len(edges) + 1):
        members = values[group == place]
        low, high = (int(members.min()), int(members.max())) if len(members) else (0, 0)
        names.append(one.format(low) if low == high else several.format(low, high))
    return Grouping(by, names, group)
