"""The learning curve of labelled rows: how well a head does with a part of them, and with all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nlp_transfer.few_labels.label_head import LabelVectors
from nlp_transfer.labelling.guesses import head_for
from nlp_transfer.metrics import Interval

FRACTIONS = (0.125, 0.25, 0.5, 1.0)
"""The parts of the labelled rows that a head learns from."""

_ORDERS = 6
_LEAST = 4  # rows to learn from


class Curve(NamedTuple):
    """How often rows are predicted rightly by heads that have not seen them, `(rows, sizes)`, each a share of heads.

    `sizes` are the numbers of rows that heads learn from, growing; `held_out` are the labelled rows themselves, NaN
    where no head was without the row, `check` those that were kept apart. With all rows there is one head for `check`,
    and for each of `held_out` one without that row.
    """

    sizes: np.ndarray
    held_out: np.ndarray
    check: np.ndarray


class CurvePoint(NamedTuple):
    """The accuracy of heads that have learned from so many rows, on rows to check (None without any) and on others."""

    rows: int
    check: Interval | None
    held_out: Interval


def points_of(curve: Curve) -> list[CurvePoint]:
    """The points of a curve with their 95% intervals."""
    return [
        CurvePoint(
            int(size),
            _share(curve.check[:, place]) if len(curve.check) else None,
            _share(curve.held_out[:, place][~np.isnan(curve.held_out[:, place])]),
        )
        for place, size in enumerate(curve.sizes)
    ]


def _share(right: np.ndarray) -> Interval:
    """The share of rows that are right, with Jeffreys' interval, which has a width where all of a few rows are."""
    from scipy.special import betaincinv

    count, sure = float(right.sum()), float(right.mean())
    ends = betaincinv(count + 0.5, len(right) - count + 0.5, [0.025, 0.975])
    return Interval(sure, min(sure, float(ends[0])), max(sure, float(ends[1])))


def learning_curve(
    vectors: np.ndarray,
    targets: np.ndarray,
    check_vectors: np.ndarray,
    check_targets: np.ndarray,
    count: int,
    texts: LabelVectors | None,
    seed: int,
) -> Curve:
    """The curve of labelled rows `(rows, width)` with the ids `targets` of `count` labels, over random orders of them.

    Of each order the first eighth, quarter and half are learned from, and all other rows are predicted. The rows to
    check are no part of any head.
    """
    random = np.random.default_rng(seed)
    rows = len(targets)
    sizes = sorted({max(_LEAST, round(part * rows)) for part in FRACTIONS[:-1]} - set(range(rows, rows + _LEAST + 1)))
    right, seen = np.zeros((rows, len(sizes) + 1)), np.zeros((rows, len(sizes) + 1))
    check = np.zeros((len(check_targets), len(sizes) + 1))
    for _ in range(_ORDERS):
        order = random.permutation(rows)
        for place, size in enumerate(sizes):
            some, rest = order[:size], order[size:]
            head = head_for(vectors[some], targets[some], count, texts)
            right[rest, place] += head.logits(vectors[rest]).argmax(axis=1) == targets[rest]
            seen[rest, place] += 1
            check[:, place] += (head.logits(check_vectors).argmax(axis=1) == check_targets) / _ORDERS
    head = head_for(vectors, targets, count, texts)
    right[:, -1], seen[:, -1] = head.held_out.argmax(axis=1) == targets, 1
    check[:, -1] = head.logits(check_vectors).argmax(axis=1) == check_targets
    with np.errstate(invalid="ignore"):
        return Curve(np.array([*sizes, rows]), right / np.where(seen > 0, seen, np.nan), check)
