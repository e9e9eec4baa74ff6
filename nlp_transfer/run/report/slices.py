"""On which kinds of rows is the model better, on which worse?"""

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
_OFTEN = 3  # training rows with a word, for it not to be rare
_SHARES = ((0.0, "no rare word"), (0.1, "up to 10% rare"), (0.25, "10 to 25% rare"), (1.0, "more than 25% rare"))
FEWEST_ROWS = 10
"""Of fewer rows no interval is told: where they are all right, no draw of them is wrong."""

_FEWER_DRAWS = 4  # times: there are many slices, and each is rough


class Grouping(NamedTuple):
    """Rows parted in one way: what parts them, and in which group each row is, `(rows,)`; -1 is none."""

    by: str
    names: Sequence[str]
    group: np.ndarray


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """In how many texts each word stands."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update(set(words_of(text)))
    return found


def by_length(lengths: Sequence[int]) -> Grouping:
    """Quarters of the rows, by how many words their texts have."""
    return _quantiles("length of the text", np.asarray(lengths), 4, "{} words", "{} to {} words")


def by_rare_words(rows: Sequence[Sequence[str]], known: Mapping[str, int]) -> Grouping:
    """By the share of a text's words that few training rows have, or none."""
    shares = [sum(known.get(word, 0) < _OFTEN for word in words) / max(len(words), 1) for words in rows]
    group = np.searchsorted([share for share, _ in _SHARES], np.asarray(shares) - 1e-12)
    return Grouping(f"rare words (in fewer than {_OFTEN} training rows)", [name for _, name in _SHARES], group)


def by_label_frequency(references: Sequence[str], trained_on: Mapping[str, int]) -> Grouping:
    """Thirds of the labels, by how many training rows have them; four labels or fewer stand alone."""
    labels = sorted(trained_on, key=lambda name: (trained_on[name], name))
    by = "training rows of the true label"
    if len(labels) <= 4:
        names = [f"{name}: {trained_on[name]:,}" for name in labels]
        return Grouping(by, names, np.array([labels.index(name) for name in references]))
    counts = np.array([trained_on[name] for name in references])
    # Parted by labels, not by rows: a label that is frequent has many rows.
    edges = np.unique(np.quantile([trained_on[name] for name in labels], [1 / 3, 2 / 3], method="lower"))
    return _at_edges(by, counts, edges, "{:,}", "{:,} to {:,}")


def by_rarest_label(references: Sequence[Sequence[str]], trained_on: Mapping[str, int]) -> Grouping:
    """The same of rows of any number of labels, by the one of theirs that fewest training rows have."""
    labelled = np.array([bool(row) for row in references])
    rarest = [min(row, key=lambda name: (trained_on[name], name)) for row in references if row]
    by, names, of_labelled = by_label_frequency(rarest, trained_on)
    group = np.full(len(references), len(names))
    group[labelled] = of_labelled
    return Grouping(f"{by}, of several the rarest", [*names, "no label"], group)


def by_rarest_type(references: Sequence[Sequence[str]], trained_on: Mapping[str, int]) -> Grouping:
    """Sentences by the type of their entities that fewest training entities have; `trained_on` counts them by type.

    Sentences without an entity are in no group: their F1 is 0, whatever a tagger says of them.
    """
    _, names, group = by_rarest_label(references, dict.fromkeys(itertools.chain(*references), 0) | dict(trained_on))
    there = np.where([bool(row) for row in references], group, -1)
    return Grouping("training entities of the rarest true type", names[:-1], there)


def by_number(references: Sequence[float]) -> Grouping:
    """Thirds of the rows, by the true number."""
    values = np.asarray(references, dtype=np.float64)
    edges = np.unique(np.quantile(values, [1 / 3, 2 / 3]))
    group = np.searchsorted(edges, values)
    names = [f"{values[group == i].min():.3g} to {values[group == i].max():.3g}" if (group == i).any() else ""
             for i in range(len(edges) + 1)]  # fmt: skip
    return Grouping("true number", names, group)


def by_set_size(references: Sequence[Sequence[str]]) -> Grouping:
    """By how many labels a row has."""
    sizes = np.minimum([len(set(row)) for row in references], 3)
    return Grouping("labels of the row", ["no label", "1 label", "2 labels", "3 labels or more"], sizes)


def sliced(groupings: Iterable[Grouping], counts: RowCounts, metric: str) -> list[dict[str, Any]]:
    """The score of each group of rows that has some, with its 95% interval; a grouping of one group tells nothing."""
    found = []
    for by, names, group in groupings:
        parts = []
        for place, name in enumerate(names):
            rows = np.flatnonzero(group == place)
            if len(rows):
                draws = draws_for(len(rows)) // _FEWER_DRAWS
                score = interval(RowCounts(counts.counts[rows], counts.scores), draws)[metric]
                parts.append(_part(name, len(rows), *score))
        if len(parts) > 1:
            found.append({"by": by, "metric": metric, "slices": parts})
    return found


def recalled(by: str, names: Sequence[str], found: Sequence[Sequence[bool]]) -> dict[str, Any] | None:
    """Of groups of entities the share that was found, with its 95% interval (Wilson 1927); None of fewer than two."""
    from scipy.stats import binomtest  # takes a while

    parts = []
    for name, hits in zip(names, found, strict=True):
        if hits:
            share = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
            parts.append(_part(name, len(hits), sum(hits) / len(hits), float(share.low), float(share.high)))
    return {"by": by, "metric": "recall", "slices": parts} if len(parts) > 1 else None


def _part(name: str, rows: int, score: float, low: float, high: float) -> dict[str, Any]:
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
    """Groups of whole numbers up to each edge, named by what they hold."""
    group = np.searchsorted(edges, values)
    names = []
    for place in range(len(edges) + 1):
        held = values[group == place]
        low, high = (int(held.min()), int(held.max())) if len(held) else (0, 0)
        names.append(one.format(low) if low == high else several.format(low, high))
    return Grouping(by, names, group)
