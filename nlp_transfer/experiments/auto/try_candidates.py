"""The candidates of `--strategy auto`, their scores on held-out training rows, and successive halving."""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.strategies.choice import Choice
from nlp_transfer.system.cli import quiet
from nlp_transfer.training.defaults import usual_rate

log = logging.getLogger(__name__)

ENCODER_TRAINING, ADAPTER_TRAINING, FEATURES, PROBE = "head_then_full", "lora", "features", "freeze"
"""The strategies that `auto` chooses from: that which trains all weights, that which needs less memory, and those that
only run the encoder, `PROBE` for heads that no classifier of scikit-learn can replace."""

EVERYTHING = "full"
"""The strategy for encoders of which nothing can be frozen."""

OTHERS = "--strategy names another"
"""How the log says that a choice can be overruled."""

LEAST = 40
"""Rows: of fewer too few can be held out to tell strategies apart."""

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
    order = drawn(rows, seed)
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


def drawn(rows: Rows, seed: int) -> np.ndarray:
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
    learning_rate: float | None = None,
) -> float | None:
    """The score on `held_out` of a candidate trained on `train`; None where it cannot be trained so."""
    settings = (("learning_rate", learning_rate),) if learning_rate else ()
    metric = model.head.choice_metric
    # What is fitted at once takes nothing from the rows it is scored on, and reads their features from the cache.
    validation = None if candidate.make().trains_by_steps else held_out
    training = replace(training, metric_for_best_model=metric if validation else None)
    setup = TrialSetup(model.head, ModelOptions(), training, cache)
    try:
        with quiet():
            trial = Trial(candidate, seed=training.seed, settings=settings)
            trained = trial.train(Splits(train, validation, None), setup, model=model)
            return trained.result.best_score if validation else trained.score(held_out, metric, candidate.name)
    except UserError as error:
        log.info("auto: %s is left out: %s", candidate.name, error)
        return None


@dataclass(frozen=True)
class Trials:
    """The trials of candidates, trained on some of the training rows and scored on others."""

    model: TransferModel
    train: Rows
    held_out: Rows
    options: TrainingOptions
    cache: CacheOptions | None

    def choice(self, trains: str, facts: str, is_scarce: bool) -> Choice:
        """The choice between `features` and what trains the encoder, `trains` unless another candidate does better."""
        head = self.model.head
        features = halved(features_candidates(head), self._score, self.train, self.options.seed)
        trains_encoder, rate, before = self._best_of_encoder_training(trains)
        scores: dict[str, float] = {}
        for candidate, its_rate in ((features, None), (trains_encoder, rate)):
            score = self._score(candidate, self.train, its_rate)
            scores |= {} if score is None else {candidate.name: score}
        ordered = (features.name, trains_encoder.name) if is_scarce else (trains_encoder.name, features.name)
        name, so = _decided(*ordered, scores, len(self.held_out.data))
        listed = ", ".join(f"{one} {100 * score:.1f}" for one, score in scores.items()) or "nothing could be tried"
        why = f"auto: {head.choice_metric} on {len(self.held_out.data):,} rows held out of training: {listed}."
        chosen = features if name == features.name else trains_encoder
        so = f"{so.removesuffix('.')} ({OTHERS})."
        learning_rate = rate if chosen is trains_encoder else None
        return Choice(chosen.strategy, dict(chosen.options), (facts, *before, why, so), scores, learning_rate)

    def _best_of_encoder_training(self, usual: str) -> tuple[Candidate, float | None, tuple[str, ...]]:
        """What trains the encoder best on a quarter of the rows, at which rate if not its own, and a line for the log.

        It is the usual one at its own rate, unless another leads by more than a standard error.
        """
        encoder, labels = self.model.encoder, len(self.model.head.labels)
        few = self._quarter()
        entries: dict[str, tuple[Candidate, float | None]] = {usual: (candidate_named(usual), None)}
        if not self.options.learning_rate:
            rate = usual_rate(STRATEGIES[usual](), encoder.width, encoder.depth) / 2
            entries[f"{usual} at {rate:g}"] = candidate_named(usual), rate
        for name, kind in STRATEGIES.items():
            if name != usual and kind.tried_by_auto(len(self.train.data), labels):
                entries[name] = candidate_named(name), None
        if len(entries) == 1 or len(few.data) < LEAST:
            return *entries[usual], ()
        scores = {name: self._score(candidate, few, rate) for name, (candidate, rate) in entries.items()}
        tried = {name: score for name, score in scores.items() if score is not None}
        if not tried:
            return *entries[usual], ()
        best = max(tried, key=lambda name: tried[name])
        name = _decided(usual, best, tried, len(self.held_out.data))[0] if best != usual else usual
        listed = ", ".join(f"{one} {100 * score:.1f}" for one, score in tried.items())
        return *entries[name], (f"auto: after {len(few.data):,} rows: {listed}; {name} is tried on all.",)

    def _quarter(self) -> Rows:
        places = drawn(self.train, self.options.seed)[: max(len(self.model.head.labels), len(self.train.data) // 4)]
        return replace(self.train, data=self.train.data.select(places))

    def _score(self, candidate: Candidate, rows: Rows, learning_rate: float | None = None) -> float | None:
        return score_of(candidate, self.model, rows, self.held_out, self.options, self.cache, learning_rate)


def _decided(usual: str, other: str, scores: Mapping[str, float], rows: int) -> tuple[str, str]:
    """The choice and its reason: the `usual` candidate, unless the `other` leads by more than a standard error."""
    if usual not in scores or other not in scores:
        name = next(iter(scores), usual)
        return name, f"auto: {name}, as the other candidate cannot be trained here."
    lead, error = 100 * (scores[other] - scores[usual]), 100 * _error(scores[other], rows)
    if lead > error:
        return other, f"auto: {other}, which leads by {lead:.1f}, more than a standard error ({error:.1f})."
    if lead > 0:
        why = f"since {other} leads by {lead:.1f}, no more than a standard error ({error:.1f})"
    else:
        why = f"which leads by {-lead:.1f}" if lead else f"as good as {other}"
    return usual, f"auto: {usual}, {why}."


def _error(score: float, rows: int) -> float:
    """About the standard error of a share of rows."""
    inside = min(max(score, 0.05), 0.95)
    return math.sqrt(inside * (1 - inside) / rows)
