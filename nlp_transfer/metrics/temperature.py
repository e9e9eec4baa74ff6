"""Calibration of probabilities on validation rows: temperature scaling, and Platt scaling by label.

A temperature divides all logits of an item by one number, so that the likeliest label stays the likeliest.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

log = logging.getLogger(__name__)

LEAST_ROWS = 100
LEAST_ERRORS = 10
"""With fewer items, or fewer wrong ones, the fit would be noise."""

LEAST_OF_A_LABEL = 20
"""A label is scaled separately if at least this many rows have it, and this many lack it."""

_WIDEST = 5.0  # bound on the logarithm of a factor, which would grow without end for a network without errors


def temperature_of(logits: np.ndarray, answers: np.ndarray) -> float:
    """The temperature that maximises the likelihood of the answers, label ids `(items,)`; logits are `(items, labels)`.

    (Guo et al. 2017, "On calibration of modern neural networks", section 4.2.) Computed in float64.
    """
    from scipy.optimize import minimize_scalar  # takes a second
    from scipy.special import log_softmax

    logits = logits.astype(np.float64)
    places = np.arange(len(answers))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits * np.exp(-log_temperature), axis=1)[places, answers].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-_WIDEST, _WIDEST), method="bounded").x))


def platt_scaling_of(logits: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """The a and b of sigmoid(a * logit + b) that maximise the likelihood of `there`; both arguments are `(items,)`.

    `a` is more than 0, which keeps the order of items. (Platt 1999, "Probabilistic outputs for support vector
    machines", whose targets lie between 0 and 1, so that no probability becomes 0 or 1.) Computed in float64.
    """
    from scipy.optimize import minimize  # takes a second
    from scipy.special import expit

    logits, there = logits.astype(np.float64), there.astype(bool)
    positives, negatives = there.sum(), (~there).sum()
    targets = np.where(there, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(scaling: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = scaling[0] * logits + scaling[1]
        slope = expit(scaled) - targets
        return float((np.logaddexp(0, scaled) - targets * scaled).mean()), np.array(
            [(slope * logits).mean(), slope.mean()]
        )

    bounds = [(np.exp(-_WIDEST), np.exp(_WIDEST)), (None, None)]
    a, b = minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(a), float(b)


def fitted_temperature(
    logits: np.ndarray, answers: np.ndarray, what: str, rows: np.ndarray | None = None
) -> float | None:
    """The temperature fitted to validation items, which is logged; None, and the reason logged, if they are too few.

    Logits are `(items, labels)`, answers are label ids `(items,)`, and `what` is what the log calls items. Where items
    of one row are not independent, `rows`, `(items,)`, holds the row of each: then rows are counted, and called `what`,
    and a row is wrong where one of its items is.
    """
    rows = np.arange(len(answers)) if rows is None else rows
    count = len(np.unique(rows))
    if not _are_enough(count, len(np.unique(rows[logits.argmax(axis=1) != answers])), what):
        return None
    temperature = temperature_of(logits, answers)
    log.info("Probabilities are calibrated on %s validation %s: temperature %.3f.", f"{count:,}", what, temperature)
    return temperature


def fitted_scaling(logits: np.ndarray, there: np.ndarray, names: Sequence[str]) -> dict[str, list[float]]:
    """a and b of each label as `platt_scaling_of` fits them; empty, and the reason logged, if rows are too few.

    Both arrays are `(rows, labels)`. A label that too few rows have, or lack, gets the a and b of all labels together.
    """
    wrong = int(((logits > 0) != there).any(axis=1).sum())
    if not _are_enough(len(there), wrong, "rows"):
        return {}
    shared = platt_scaling_of(logits.ravel(), there.ravel())
    fewest = np.minimum(there.sum(axis=0), (~there).sum(axis=0))
    own = fewest >= LEAST_OF_A_LABEL
    scaling = {
        name: list(platt_scaling_of(logits[:, i], there[:, i]) if own[i] else shared) for i, name in enumerate(names)
    }
    log.info(
        "Probabilities are calibrated on %s validation rows: %d of %d labels separately, the others together.",
        *(f"{len(there):,}", own.sum(), len(names)),
    )
    return scaling


def _are_enough(items: int, wrong: int, what: str) -> bool:
    """Whether validation items, so many of them wrong, are enough to calibrate on; the reason is logged where not."""
    if items >= LEAST_ROWS and wrong >= LEAST_ERRORS:
        return True
    if items < LEAST_ROWS:
        reason = f"this needs at least {LEAST_ROWS} validation {what}; got {items:,}"
    else:
        needed = f"{'about' if wrong else 'more than'} {items * LEAST_ERRORS // max(wrong, 1):,}"
        reason = (
            f"this needs at least {LEAST_ERRORS} wrong validation {what}; got {wrong} of {items:,}; "
            f"{needed} would have as many"
        )
    log.info("Probabilities are not calibrated: %s.", reason)
    return False
