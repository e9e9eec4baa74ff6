"""Bootstrap confidence intervals of scores, and of the difference between two models.

The rows that were scored are resampled with replacement, as many as there are (Efron 1979), and each draw is scored;
95% of the scores lie in the interval. For entities a row is a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nlp_transfer.metrics.paired_rows import check_lengths
from nlp_transfer.metrics.span_scores import spans_of

DRAWS = 2000
_AT_ONCE = 4_000_000  # row counts that are in memory at once


class Interval(NamedTuple):
    """A score, or a difference of scores, and the ends of the interval that holds `level` of the draws."""

    score: float
    low: float
    high: float


@dataclass(frozen=True)
class RowCounts:
    """What each row adds to the sums that scores are computed from, so that a draw is scored without its rows.

    `counts` is `(rows, sums)`, dense or a SciPy sparse array; `scores` turns `(draws, sums)` into one number a draw for
    each name, the same that the metric of that name gives for the rows drawn.
    """

    counts: Any
    scores: Callable[[np.ndarray], Mapping[str, np.ndarray]]

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def of(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The scores, `(draws,)`, of rows that are drawn `(draws, rows)` times."""
        sums = np.asarray((self.counts.T @ weights.T).T, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {name: np.nan_to_num(values, nan=0.0) for name, values in self.scores(sums).items()}


def interval(
    models: RowCounts | Sequence[RowCounts], draws: int = DRAWS, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """The interval of each score by the percentile bootstrap over rows; of several models, of their mean.

    Several models are runs of one candidate under several seeds, scored on the same rows: each draw takes the same rows
    of all of them. Where no row is wrong no draw is either: the interval has no width, and is too narrow. The interval
    holds `level` of the scores of `draws` draws, which depend on `seed`. Raises ValueError if the models were not
    scored on equally many rows, or there are no rows.

    >>> counts = label_counts(["a", "b", "a", "a"], ["a", "b", "b", "a"], ["a", "b"])
    >>> interval(counts)["accuracy"].score
    0.75
    """
    return _intervals(_listed(models), [], draws, level, seed)


def difference(
    models: RowCounts | Sequence[RowCounts],
    others: RowCounts | Sequence[RowCounts],
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """The interval of each score of `models` minus that of `others`, by the paired bootstrap: both on the same draws.

    Two models that are wrong on the same rows can differ surely though their own intervals overlap (Efron and
    Tibshirani 1993; Berg-Kirkpatrick et al. 2012). Arguments and errors are those of `interval`; scores that a side
    lacks are left out.
    """
    return _intervals(_listed(models), _listed(others), draws, level, seed)


def scores_of_draws(models: Sequence[RowCounts], *, seed: int = 0) -> dict[str, np.ndarray]:
    """Each score, `(draws, models)`, of models that were scored on the same rows, all on the same draws."""
    blocks = [[model.of(weights) for model in models] for weights in _weights(len(models[0]), DRAWS, seed)]
    return {name: np.concatenate([np.stack([of[name] for of in block], axis=1) for block in blocks])
            for name in blocks[0][0]}  # fmt: skip


def label_counts(predictions: Sequence[str], references: Sequence[str], labels: Sequence[str]) -> RowCounts:
    """Row counts of one label a row, for the scores of `sentiment_scores`; `labels` in order, lowest first."""
    from scipy.sparse import csr_array

    check_lengths(predictions, references)
    places = {label: place for place, label in enumerate(labels)}
    predicted, expected = (np.array([places[label] for label in side]) for side in (predictions, references))
    rows, size = np.arange(len(expected)), len(labels)
    steps = np.abs(predicted - expected).astype(np.float64)
    cells = [  # (rows, columns, values): right, predicted and expected by label; steps; squared steps
        (rows[steps == 0], expected[steps == 0], np.ones(int((steps == 0).sum()))),
        (rows, size + predicted, np.ones(len(rows))),
        (rows, 2 * size + expected, np.ones(len(rows))),
        (rows, np.full(len(rows), 3 * size), steps),
        (rows, np.full(len(rows), 3 * size + 1), steps**2),
    ]
    at, columns, values = (np.concatenate(part) for part in zip(*cells, strict=True))
    return RowCounts(csr_array((values, (at, columns)), shape=(len(rows), 3 * size + 2)), _label_scores)


def set_counts(
    predictions: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    labels: Sequence[str],
    ranking: Sequence[Sequence[float]],
) -> RowCounts:
    """Row counts of a set of labels a row, for the scores of `multi_label_scores`, whose arguments these are."""
    from scipy.stats import rankdata

    check_lengths(predictions, references)
    predicted, expected = (
        np.array([[label in set(row) for label in labels] for row in side], dtype=np.float64)
        for side in (predictions, references)
    )
    right, size = predicted * expected, len(labels)
    both = predicted.sum(axis=1) + expected.sum(axis=1)
    samples_f1 = np.where(both > 0, 2 * right.sum(axis=1) / np.maximum(both, 1), 1.0)
    behind = rankdata(-np.asarray(ranking, dtype=np.float64), method="max", axis=1)
    lrap = np.ones(len(expected))  # a row with all labels, or none, scores 1 in scikit-learn
    for row, (marks, ranks) in enumerate(zip(expected.astype(bool), behind, strict=True)):
        if 0 < marks.sum() < size:
            lrap[row] = np.mean(rankdata(ranks[marks], method="max") / ranks[marks])
    wrong = (predicted != expected).sum(axis=1)
    rest = np.stack([samples_f1, lrap, wrong / size, wrong == 0, np.ones(len(wrong))], axis=1)
    return RowCounts(np.concatenate([right, predicted, expected, rest], axis=1), _set_scores)


def number_counts(predictions: Sequence[float], references: Sequence[float]) -> RowCounts:
    """Row counts of a number a row, for the scores of `regression_scores`; Spearman's ranks stay those of all rows."""
    from scipy.stats import rankdata

    check_lengths(predictions, references)
    predicted, expected = np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64)
    off = predicted - expected
    columns = [np.ones(len(off)), off**2, np.abs(off)]
    for a, b in ((predicted, expected), (rankdata(predicted), rankdata(expected))):
        a, b = a - a.mean(), b - b.mean()  # shifted, so that squares do not swallow what varies
        columns += [a, b, a * a, b * b, a * b]
    return RowCounts(np.stack(columns, axis=1), _number_scores)


def span_counts(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str = "IOB2"
) -> RowCounts:
    """Row counts of the entity spans of a sentence, for the scores of `span_scores`, whose arguments these are."""
    check_lengths(predictions, references)
    parts: list[np.ndarray] = []
    for strict in (True, False):
        predicted, expected = (spans_of(side, scheme, strict) for side in (predictions, references))
        types = sorted({kind for side in (predicted, expected) for row in side for kind, _, _ in row})
        counts = np.zeros((len(references), 3, len(types)))
        for row, (ours, gold) in enumerate(zip(predicted, expected, strict=True)):
            for place, spans in enumerate((ours & gold, ours, gold)):
                for kind, _, _ in spans:
                    counts[row, place, types.index(kind)] += 1
        parts.append(counts.reshape(len(references), -1))
    width = parts[0].shape[1]

    def scores(sums: np.ndarray) -> Mapping[str, np.ndarray]:
        named = {}
        for reading, block in (("strict", sums[:, :width]), ("lenient", sums[:, width:])):
            for name, values in _averages(block).items():
                if not name.startswith("weighted_"):
                    named[f"{name.removeprefix('micro_')}_{reading}"] = values
        return named

    return RowCounts(np.concatenate(parts, axis=1), scores)


def _listed(models: RowCounts | Sequence[RowCounts]) -> list[RowCounts]:
    return [models] if isinstance(models, RowCounts) else list(models)


def _intervals(
    models: list[RowCounts], others: list[RowCounts], draws: int, level: float, seed: int
) -> dict[str, Interval]:
    rows = {len(model) for model in (*models, *others)}
    if len(rows) != 1 or not models or rows == {0}:
        raise ValueError(f"models can be compared on the same rows only; these were scored on {sorted(rows)} rows")
    count = rows.pop()
    (point,) = _scores(models, others, [np.ones((1, count))])
    drawn = list(_scores(models, others, _weights(count, draws, seed)))
    tail = 100 * (1 - level) / 2
    intervals = {}
    for name, (value,) in point.items():
        low, high = np.percentile(np.concatenate([scores[name] for scores in drawn]), [tail, 100 - tail])
        intervals[name] = Interval(float(value), float(low), float(high))
    return intervals


def _scores(
    models: list[RowCounts], others: list[RowCounts], weights: Sequence[np.ndarray] | Iterator[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """The mean score of `models` minus that of `others`, by name, for each block of draws."""
    for block in weights:
        ours, theirs = ([model.of(block) for model in side] for side in (models, others))
        shared = [name for name in ours[0] if all(name in scores for scores in theirs)]
        yield {
            name: np.mean([scores[name] for scores in ours], axis=0)
            - (np.mean([scores[name] for scores in theirs], axis=0) if theirs else 0.0)
            for name in shared
        }


def _weights(rows: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn, `(some draws, rows)` at a time."""
    random = np.random.default_rng(seed)
    while draws > 0:
        some = min(draws, max(1, _AT_ONCE // rows))
        places = random.integers(rows, size=(some, rows)) + rows * np.arange(some)[:, None]
        yield np.bincount(places.ravel(), minlength=some * rows).reshape(some, rows).astype(np.float64)
        draws -= some


def _averages(counts: np.ndarray, all_labels: bool = False) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of counts of each label: micro, weighted, and macro over labels that occur.

    `counts` is `(draws, 3 labels)`: rows that are right, predicted and expected, of each label.
    """
    right, predicted, expected = np.split(counts, 3, axis=1)
    named = {}
    occurs = np.ones(right.shape, bool) if all_labels else predicted + expected > 0
    measures = (("precision", right, predicted), ("recall", right, expected), ("f1", 2 * right, predicted + expected))
    for name, above, below in measures:
        of_label = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        named[f"micro_{name}"] = above.sum(axis=1) / below.sum(axis=1)
        named[f"macro_{name}"] = (of_label * occurs).sum(axis=1) / occurs.sum(axis=1)
        named[f"weighted_{name}"] = (of_label * expected).sum(axis=1) / expected.sum(axis=1)
    return named


def _label_scores(sums: np.ndarray) -> Mapping[str, np.ndarray]:
    right, predicted, expected = np.split(sums[:, :-2], 3, axis=1)
    rows, correct = expected.sum(axis=1), right.sum(axis=1)
    together = (predicted * expected).sum(axis=1)
    spread = (rows**2 - (predicted**2).sum(axis=1)) * (rows**2 - (expected**2).sum(axis=1))
    place = np.arange(right.shape[1], dtype=np.float64)
    mean_p, mean_e = (side @ place / rows for side in (predicted, expected))
    by_chance = predicted @ place**2 / rows + expected @ place**2 / rows - 2 * mean_p * mean_e  # E (p - e)^2
    return {
        "accuracy": correct / rows,
        "mcc": (correct * rows - together) / np.sqrt(spread),
        **_averages(sums[:, :-2]),
        "mae_steps": sums[:, -2] / rows,
        "quadratic_kappa": 1 - sums[:, -1] / rows / by_chance,
    }


def _set_scores(sums: np.ndarray) -> Mapping[str, np.ndarray]:
    names = ("samples_f1", "lrap", "hamming_loss", "exact_match")
    means = sums[:, -5:-1] / sums[:, -1:]
    return {
        **_averages(sums[:, :-5], all_labels=True),
        **{name: means[:, place] for place, name in enumerate(names)},
    }


def _number_scores(sums: np.ndarray) -> Mapping[str, np.ndarray]:
    means = sums / sums[:, :1]
    scores = {"mse": means[:, 1], "mae": means[:, 2]}
    for name, start in (("pearson", 3), ("spearman", 8)):
        a, b, aa, bb, ab = means[:, start : start + 5].T
        scores[name] = (ab - a * b) / np.sqrt((aa - a * a) * (bb - b * b))
    return scores
