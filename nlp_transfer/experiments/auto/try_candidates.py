"""The candidates of `--strategy auto`, their scores on held-out training rows, and successive halving."""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from nlp_transfer.config import CacheOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import UserError
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.trial import Trial, TrialSetup
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.strategies.choice import Choice
from nlp_transfer.system.cli import quiet
from nlp_transfer.training.defaults import with_defaults

log = logging.getLogger(__name__)

ENCODER_TRAINING, ADAPTER_TRAINING, FEATURES, PROBE = "head_then_full", "lora", "features", "freeze"
"""The strategies that `auto` chooses from: that which trains all weights, that which needs less memory, and those that
only run the encoder, `PROBE` for heads that no classifier of scikit-learn can replace."""

FROM_FEW = "few_shot"
"""The strategy for few rows a label, which begins with what labels mean."""

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
    settings: Mapping[str, Any],
) -> float | None:
    """The score on `held_out` of a candidate trained on `train`; None where it cannot be trained so."""
    metric = model.head.choice_metric
    # What is fitted at once takes nothing from the rows it is scored on, and reads their features from the cache.
    validation = None if candidate.make().trains_by_steps else held_out
    training = replace(training, metric_for_best_model=metric if validation else None)
    setup = TrialSetup(model.head, ModelOptions(), training, cache)
    try:
        with quiet():
            trial = Trial(candidate, seed=training.seed, settings=tuple(settings.items()))
            trained = trial.train(Splits(train, validation, None), setup, model=model)
            return trained.result.best_score if validation else trained.score(held_out, metric, candidate.name)
    except UserError as error:
        log.info("auto: %s is left out: %s", candidate.name, error)
        return None


@dataclass(frozen=True)
class Entry:
    """A candidate, at a learning rate of its own or, with None, at the usual one of its strategy."""

    candidate: Candidate
    learning_rate: float | None = None

    @property
    def name(self) -> str:
        """What the log calls it."""
        at = f" at {self.learning_rate:g}" if self.learning_rate else ""
        return f"{self.candidate.name}{at}"


@dataclass(frozen=True)
class Trials:
    """The trials of candidates, trained on some of the training rows and scored on others.

    `options` are those of the run, and `usual_epochs` those that fine-tuning takes in it where none are given: in a
    trial fewer rows are seen for as many epochs. With `low_memory`
    nothing that trains all weights is tried. In runs of the usual candidate, on all rows, they cost at most 1: 2/3 for
    the trial on all rows left, and 1/12 for each of its rivals on an eighth of them, 1/6 for `lora`, which sees them
    twice as often. Classifiers on features take seconds.
    """

    model: TransferModel
    train: Rows
    held_out: Rows
    options: TrainingOptions
    usual_epochs: float
    cache: CacheOptions | None
    low_memory: bool = False

    def choice(self, trains: str, facts: str, usual: str, from_few: bool) -> Choice:
        """The choice between `features` and what trains the encoder, `trains` unless another candidate does better.

        With `from_few` that other is `few_shot`, tried on as many rows: on fewer it would always do better. `usual` is
        the strategy that the others have to lead.
        """
        head = self.model.head
        features = Entry(halved(features_candidates(head), self._score_alone, self.train, self.options.seed))
        trains_encoder = Entry(candidate_named(trains))
        before: tuple[str, ...] = ()
        if not from_few:
            trains_encoder, before = self._best_of_encoder_training(trains_encoder)
        entries = [features, trains_encoder, *([Entry(candidate_named(FROM_FEW))] if from_few else [])]
        scores: dict[str, float] = {}
        for entry in entries:
            score = self._score(entry, self.train)
            scores |= {} if score is None else {entry.name: score}
        entries.sort(key=lambda entry: entry.candidate.strategy != usual)
        best = max(entries[1:], key=lambda entry: scores.get(entry.name, -math.inf))
        name, so = _decided(entries[0].name, best.name, scores, len(self.held_out.data))
        listed = ", ".join(f"{one} {100 * score:.1f}" for one, score in scores.items()) or "nothing could be tried"
        why = f"auto: {head.choice_metric} on {len(self.held_out.data):,} rows held out of training: {listed}."
        chosen = next(entry for entry in entries if entry.name == name)
        reasons = (facts, *before, why, f"{so.removesuffix('.')} ({OTHERS}).")
        candidate = chosen.candidate
        return Choice(candidate.strategy, dict(candidate.options), reasons, scores, chosen.learning_rate)

    def _best_of_encoder_training(self, usual: Entry) -> tuple[Entry, tuple[str, ...]]:
        """What trains the encoder best on an eighth of the rows, and a line for the log.

        It is the usual one, unless another one leads by more than a standard error.
        """
        few = self._few()
        entries = {entry.name: entry for entry in (usual, *self._rivals(usual))}
        if len(entries) == 1 or len(few.data) < LEAST:
            return usual, ()
        scores = {name: self._score(entry, few) for name, entry in entries.items()}
        tried = {name: score for name, score in scores.items() if score is not None}
        if not tried:
            return usual, ()
        best = max(tried, key=lambda name: tried[name])
        decides = usual.name in tried and best != usual.name
        name = _decided(usual.name, best, tried, len(self.held_out.data))[0] if decides else best
        listed = ", ".join(f"{one} {100 * score:.1f}" for one, score in tried.items())
        return entries[name], (f"auto: after {len(few.data):,} rows: {listed}; {name} is tried on all.",)

    def _rivals(self, usual: Entry) -> Iterator[Entry]:
        """The usual candidate at half its learning rate, and the strategies that ask to be tried."""
        strategy = usual.candidate.make()
        if not self.options.learning_rate:
            rate = with_defaults(self.options, self.model, Splits(self.train, None, None), strategy).learning_rate
            yield Entry(usual.candidate, (rate or 0.0) / 2)
        for name, kind in STRATEGIES.items():
            fits = not (self.low_memory and kind.trains_all_weights)
            if name != strategy.name and fits and kind.tried_by_auto(len(self.train.data), len(self.model.head.labels)):
                yield Entry(candidate_named(name))

    def _few(self) -> Rows:
        count = max(len(self.model.head.labels), len(self.train.data) // 8)
        return replace(self.train, data=self.train.data.select(drawn(self.train, self.options.seed)[:count]))

    def _score_alone(self, candidate: Candidate, rows: Rows) -> float | None:
        return self._score(Entry(candidate), rows)

    def _score(self, entry: Entry, rows: Rows) -> float | None:
        settings = {} if entry.learning_rate is None else {"learning_rate": entry.learning_rate}
        if self.options.num_train_epochs is None:  # by the rule fewer rows would be seen more often than in the run
            all_rows = len(self.train.data) + len(self.held_out.data)
            settings["num_train_epochs"] = entry.candidate.make().usual_epochs(self.usual_epochs, all_rows)
        return score_of(entry.candidate, self.model, rows, self.held_out, self.options, self.cache, settings)


def _decided(usual: str, other: str, scores: Mapping[str, float], rows: int) -> tuple[str, str]:
    """The choice and its reason: the `usual` candidate, unless the `other` leads by more than a standard error."""
    if usual not in scores or other not in scores:
        name = max(scores, key=lambda one: scores[one], default=usual)
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
