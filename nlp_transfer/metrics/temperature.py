"""By what are logits scaled, so that probabilities mean what they say?

Nothing here changes which label is the likeliest: a temperature divides all logits of an item by one number.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

log = logging.getLogger(__name__)

LEAST_ROWS = 100
LEAST_ERRORS = 10
"""Of fewer items, or of fewer wrong ones, what is fitted would be chance."""

LEAST_OF_A_LABEL = 20
"""Rows that have a label, and rows that have it not, for it to be scaled by itself."""

_WIDEST = 5.0  # of the logarithm of a factor: where no bound held it, a network without errors would be sure of all


def temperature_of(logits: np.ndarray, answers: np.ndarray) -> float:
    """The temperature under which the answers, label ids `(items,)`, are the likeliest; logits are `(items, labels)`.

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
    """The a and b under which sigmoid(a * logit + b) makes what is there the likeliest; both arguments are `(items,)`.

    `a` is more than 0, so that the order of items stays. (Platt 1999, "Probabilistic outputs for support vector
    machines", whose targets fall short of 0 and 1, so that no label is ever wholly sure.) Computed in float64.
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
    """The temperature for validation items, which a line of the log tells; None, with a line, where they are too few.

    Logits are `(items, labels)`, answers are label ids `(items,)`, and `what` items are called. Where items of one row
    are not independent, `rows`, `(items,)`, says of which row each is: then rows are called so, and counted, and a row
    is wrong where one of its items is.
    """
    rows = np.arange(len(answers)) if rows is None else rows
    count = len(np.unique(rows))
    if not _are_enough(count, len(np.unique(rows[logits.argmax(axis=1) != answers])), what):
        return None
    temperature = temperature_of(logits, answers)
    log.info("Probabilities are calibrated on %s validation %s: temperature %.3f.", f"{count:,}", what, temperature)
    return temperature


def fitted_scaling(logits: np.ndarray, there: np.ndarray, names: Sequence[str]) -> dict[str, list[float]]:
    """a and b of each label as `platt_scaling_of` gives them; empty, with a line of the log, where rows are too few.

    Both arrays are `(rows, labels)`. A label that too few rows have, or lack, takes what fits all labels together.
    """
    wrong = int(((logits > 0) != there).any(axis=1).sum())
    if not _are_enough(len(there), wrong, "rows"):
        return {}
    shared = platt_scaling_of(logits.ravel(), there.ravel())
    fewest = np.minimum(there.sum(axis=0), (~there).sum(axis=0))
    own = fewest >= LEAST_OF_A_LABEL
    found = {
        name: list(platt_scaling_of(logits[:, i], there[:, i]) if own[i] else shared) for i, name in enumerate(names)
    }
    log.info(
        "Probabilities are calibrated on %s validation rows: %d of %d labels by themselves, the others together.",
        *(f"{len(there):,}", own.sum(), len(names)),
    )
    return found


def _are_enough(items: int, wrong: int, what: str) -> bool:
    """Whether so many validation items, so many of them wrong, can be calibrated on; a line of the log where not."""
    if items >= LEAST_ROWS and wrong >= LEAST_ERRORS:
        return True
    if items < LEAST_ROWS:
        told = f"{LEAST_ROWS} validation {what} would do, and there are {items:,}"
    else:
        needed = f"{'about' if wrong else 'more than'} {items * LEAST_ERRORS // max(wrong, 1):,}"
        told = (
            f"{LEAST_ERRORS} wrong validation {what} would do, and {wrong} of {items:,} are; {needed} would hold them"
        )
    log.info("Probabilities are not calibrated: %s.", told)
    return False
