"""The candidates of `--strategy auto`, their scores on held-out training rows, and successive halving."""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from nlp_transfer.config import CacheOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import UserError
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.trial import Trial, TrialSetup
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.system.cli import quiet

log = logging.getLogger(__name__)

ENCODER_TRAINING, ADAPTER_TRAINING, FEATURES, PROBE = "head_then_full", "lora", "features", "freeze"
"""The strategies that `auto` chooses from: that which trains all weights, that which needs less memory, and those that
only run the encoder, `PROBE` for heads that no classifier of scikit-learn can replace."""

_CLASSIFIERS = ("svm", "logistic", "linear_svm")  # each was the best on some data set; of equals the first is taken
_NEEDS_SKOPS = "svm"

_T = TypeVar("_T")


def candidate_named(name: str, **options: str) -> Candidate:
    """The candidate of a strategy for the model at hand, with options of the strategy."""
    return Candidate(":".join([name, *options.values()]), "", name, tuple(options.items()))


def features_candidates(head: TaskHead) -> tuple[Candidate, ...]:
    """`features` with each classifier that can be the best for the head."""
    if len(head.classifiers) < 2:
        return (candidate_named(FEATURES),)
    has_skops = importlib.util.find_spec("skops") is not None
    usual = [name for name in _CLASSIFIERS if name in head.classifiers and (has_skops or name != _NEEDS_SKOPS)]
    return tuple(candidate_named(FEATURES, classifier=name) for name in usual or head.classifiers)


def halved(candidates: Sequence[_T], score: Callable[[_T, Rows], float | None], rows: Rows, seed: int) -> _T:
    """The candidate that successive halving leaves (Jamieson and Talwalkar 2016): the worse half goes in each round.

    A round has twice the rows of the one before, and all `rows` are left for the last candidate.
    """
    order = _drawn(rows, seed)
    while len(candidates) > 1:
        places = order[: len(order) >> math.ceil(math.log2(len(candidates)))]
        few = replace(rows, data=rows.data.select(places))
        scores = [score(candidate, few) for candidate in candidates]
        best_first = sorted(
            zip(candidates, scores, strict=True),
            key=lambda scored: -math.inf if scored[1] is None else scored[1],
            reverse=True,
        )
        candidates = [candidate for candidate, _ in best_first[: (len(candidates) + 1) // 2]]
    return candidates[0]


def _drawn(rows: Rows, seed: int) -> np.ndarray:
    """Places of rows, drawn at random; the first ones have a label each, as rows of one label alone teach nothing."""
    order = np.random.default_rng(seed).permutation(len(rows.data))
    if problem_of(rows.data) != "single_label":
        return order
    _, first = np.unique(np.array(rows.data["label"][:])[order], return_index=True)
    return np.concatenate([order[np.sort(first)], np.delete(order, first)])


def score_of(
    candidate: Candidate,
    model: TransferModel,
    train: Rows,
    held_out: Rows,
    training: TrainingOptions,
    cache: CacheOptions | None,
) -> float | None:
    """The score on `held_out` of a candidate trained on `train`; None where it cannot be trained so."""
    metric = model.head.choice_metric
    # What is fitted at once takes nothing from the rows it is scored on, and reads their features from the cache.
    validation = None if candidate.make().trains_by_steps else held_out
    training = replace(training, metric_for_best_model=metric if validation else None)
    setup = TrialSetup(model.head, ModelOptions(), training, cache)
    try:
        with quiet():
            trained = Trial(candidate, seed=training.seed).train(Splits(train, validation, None), setup, model=model)
            return trained.result.best_score if validation else trained.score(held_out, metric, candidate.name)
    except UserError as error:
        log.info("auto: %s is left out: %s", candidate.name, error)
        return None
