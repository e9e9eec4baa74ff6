"""What further labels will buy: power laws that fit a learning curve, and how far they agree.

The share of rows that a head gets wrong falls as e (f + (1 - f) (m / n)^-c) with the m rows that it learns from: e is
the share at the n rows there are, c how fast it falls, and f the part of e that no row will mend (Hestness et al. 2017,
"Deep learning scaling is predictable, empirically"). Few rows fit many such curves. So they are drawn by how well they
fit, and their spread is the interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nlp_transfer.labelling.learning_curve import Curve
from nlp_transfer.labelling.texts_to_label import CHECK_SHARE
from nlp_transfer.metrics import Interval

LEVEL = 0.8
"""The share of forecasts whose interval is to hold what then happens."""

AHEAD = 100
"""The rows for which the gain is forecast."""

POINT = 0.01
"""A point: this share of rows."""

_ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_SPEEDS = np.linspace(0.1, 1.5, 15)
_FLOORS = np.linspace(0.0, 0.95, 20)
_FLOOR_RARITY = 2.0  # a floor of all errors is taken to be exp(-2) times as likely as none
_MISFIT = 0.15  # by how much real curves leave the power law, in logarithms of errors
_SAMPLES = 200
_DRAWS = 4000
# Rows that are picked are harder than rows drawn at random: on sets of reviews, news and sentences a head got a random
# row wrong 0.4 to 0.6 times as often. That counts as much as so many rows to check.
_EASIER, _WORTH = 0.55, 20.0
_MOST = 100_000  # rows ahead that anybody would count


class Forecast(NamedTuple):
    """What the curve promises, with the ends of the interval that holds `LEVEL` of its draws.

    `rows` are the further rows, those to check included, for one point more: None where that is out of sight. `gain` is
    what the next `AHEAD` rows add to the share of rows that are right, and `share` what that is then.
    """

    rows: int | None
    low: int | None
    high: int | None
    gain: Interval
    share: Interval


def forecast(curve: Curve, seed: int = 0, ahead: int = AHEAD) -> Forecast | None:
    """What further rows will add to the last point of a curve; None where it has one point only.

    >>> forecast(learning_curve(vectors, targets, check_vectors, check_targets, 2, None, seed=0)).rows
    120
    """
    if len(curve.sizes) < 2:
        return None
    random = np.random.default_rng(seed)
    rows = int(curve.sizes[-1])
    speeds, floors = _shapes(curve, random)
    wrong = _wrong_now(curve, random)
    mendable = wrong * (1 - floors)
    later = rows + ahead * (1 - CHECK_SHARE)
    gain = mendable * (1 - (later / rows) ** -speeds)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        needed = rows * ((1 - POINT / mendable) ** (-1 / speeds) - 1)
    needed = np.where(mendable > POINT, needed, np.inf) / (1 - CHECK_SHARE)
    start, end = _ENDS
    low, middle, high = (_count(rows) for rows in np.quantile(needed, [start, 0.5, end], method="nearest").tolist())
    return Forecast(middle, low, high, _middle(gain), _middle(1 - wrong + gain))


def _count(rows: float) -> int | None:
    """A number of rows as one says it: two digits."""
    if not rows < _MOST:
        return None
    return int(float(f"{max(rows, 1):.2g}"))


def _middle(draws: np.ndarray) -> Interval:
    low, high = np.quantile(draws, _ENDS)
    return Interval(float(np.median(draws)), float(low), float(high))


def _shapes(curve: Curve, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How fast errors fall and where they end, `(draws,)` each, by how well they fit the errors at all sizes.

    Errors at several sizes are of the same rows, so their quotients are known better than they are themselves.
    """
    wrong = 1 - np.concatenate([curve.held_out, curve.check])
    logs = _log_errors(wrong, np.ones((1, len(wrong))))[0]
    picks = random.integers(len(wrong), size=(_SAMPLES, len(wrong)))
    weights = np.stack([np.bincount(some, minlength=len(wrong)) for some in picks])
    samples = _log_errors(wrong, weights)
    falls = logs[:-1] - logs[-1]
    spread = np.cov((samples[:, :-1] - samples[:, -1:]).T).reshape(len(falls), len(falls))
    certainty = np.linalg.inv(spread + _MISFIT**2 * np.eye(len(falls)))
    parts = curve.sizes[:-1] / curve.sizes[-1]
    speed, floor = (grid.ravel() for grid in np.meshgrid(_SPEEDS, _FLOORS, indexing="ij"))
    off = falls - np.log(floor[:, None] + (1 - floor[:, None]) * parts ** -speed[:, None])
    log_chance = -0.5 * np.einsum("gi,ij,gj->g", off, certainty, off) - _FLOOR_RARITY * floor
    chance = np.exp(log_chance - log_chance.max())
    drawn = random.choice(len(chance), size=_DRAWS, p=chance / chance.sum())
    # Between the points of the grid, so that ends of intervals do not jump from one to the next.
    speeds = speed[drawn] + random.uniform(-0.5, 0.5, _DRAWS) * (_SPEEDS[1] - _SPEEDS[0])
    floors = floor[drawn] + random.uniform(-0.5, 0.5, _DRAWS) * (_FLOORS[1] - _FLOORS[0])
    return speeds, np.clip(floors, 0.0, 0.99)


def _log_errors(wrong: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The logarithm of the share that is wrong at each size, `(samples, sizes)`; NaN: no head was without the row."""
    seen = ~np.isnan(wrong)
    return np.log((weights @ np.where(seen, wrong, 0.0) + 0.5) / (weights @ seen + 1))


def _wrong_now(curve: Curve, random: np.random.Generator) -> np.ndarray:
    """The share of rows at random that all labelled rows together get wrong, `(draws,)`: by the rows to check."""
    count, wrong = len(curve.check), float((1 - curve.check[:, -1]).sum())
    expected = _EASIER * float(np.nanmean(1 - curve.held_out[:, -1]))
    return random.beta(wrong + _WORTH * expected + 0.1, count - wrong + _WORTH * (1 - expected) + 0.1, size=_DRAWS)
