"""How well labels can be told apart, without knowing any: whether two views of the texts find the same ones.

Two classifiers that see different dimensions and words, and begin at different descriptions, have no other reason to
agree beyond chance than that both are right. If each is right by itself with chance-corrected accuracy q and errs at
random, Cohen's kappa of the two is q squared (Dawid and Skene 1979; Platanios et al. 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlp_transfer.few_labels.text_view import TextView

_DRAWS = 8
_MOST_TEXTS = 10_000  # seconds a draw; with more, kappa is no surer

Learner = Callable[[TextView], np.ndarray]
"""What gives probabilities `(texts, labels)` for the texts of a view."""


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa between two views, the mean over draws of the views, and its standard error over them."""

    kappa: float
    error: float


def agreements(view: TextView, learners: dict[str, Learner], seed: int = 0) -> dict[str, Agreement]:
    """The agreement of each learner with itself on two halves of the view, all on the same draws of halves."""
    rng = np.random.default_rng(seed)
    kappas: dict[str, list[float]] = {name: [] for name in learners}
    for _ in range(_DRAWS):
        halves = view.sample(_MOST_TEXTS, rng).halves(rng)
        for name, learner in learners.items():
            first, second = (learner(half).argmax(axis=1) for half in halves)
            kappas[name].append(kappa(first, second))
    return {
        name: Agreement(float(np.mean(some)), float(np.std(some, ddof=1) / np.sqrt(_DRAWS)))
        for name, some in kappas.items()
    }


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Cohen's kappa of two lists of label ids: agreement beyond that of chance, 1 for the same lists."""
    count = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(ids, minlength=count) / len(ids) for ids in (first, second)]
    by_chance = float(shares[0] @ shares[1])
    if by_chance > 1 - 1e-9:
        return 0.0  # both give all texts one label, which tells nothing
    return (float(np.mean(first == second)) - by_chance) / (1 - by_chance)


def corrected_accuracy(kappa: float) -> float:
    """The accuracy beyond chance, from 0 to 1, of a view whose errors are independent of the other's."""
    return float(np.sqrt(max(kappa, 0.0)))
