"""The ranking of encoders for some rows, before any is trained."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from accelerate import Accelerator

from nlp_transfer.config import CacheOptions, ModelOptions, SelectionOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.row_store import counted
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.sklearn_head.fitting import score_name
from nlp_transfer.errors import ModelError, UserError, is_full_disk
from nlp_transfer.experiments.select.h_score import h_score
from nlp_transfer.experiments.select.layer_features import features_by_layer
from nlp_transfer.experiments.select.logme import logme
from nlp_transfer.experiments.select.nleep import nleep
from nlp_transfer.experiments.select.probe import probe
from nlp_transfer.experiments.select.ranking import counts_of, shares_first
from nlp_transfer.experiments.select.sample import Sample, sample_of
from nlp_transfer.metrics import Interval, RowCounts, interval
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.system import hardware

log = logging.getLogger(__name__)

ESTIMATORS = ("probe", "logme", "h_score", "nleep")
"""Estimates of how much the features of a layer are worth, each the greater the better."""


@dataclass(frozen=True)
class LayerScores:
    """Scores of a layer: of a probe on items it was not fitted to, with its 95% interval, and of the estimators."""

    layer: int
    probe: float
    low: float
    high: float
    logme: float
    h_score: float
    nleep: float


@dataclass(frozen=True)
class EncoderScores:
    """Scores, size and durations of an encoder.

    The seconds of its pass are few where its activations were cached. `probe` is the score of a probe of all layers
    together, with its 95% interval; `first` the share of bootstrap draws in which it is the best. `ranks` are among the
    encoders: by the probe, and by the estimators of the last layer.
    """

    encoder: str
    family: str
    depth: int
    width: int
    parameters: int
    megabytes: float
    seconds_of_pass: float
    seconds_of_estimating: float
    probe: float
    low: float
    high: float
    first: float
    ranks: Mapping[str, int]
    layers: tuple[LayerScores, ...]

    @property
    def last(self) -> LayerScores:
        """The scores of its last layer."""
        return self.layers[-1]

    @property
    def best_layer(self) -> LayerScores:
        """The layer whose probe is right most often, the higher one of two that are as good."""
        return max(self.layers, key=lambda layer: (layer.probe, layer.layer))


@dataclass(frozen=True)
class Selection:
    """Encoders, the best first; and those that could not be loaded or run, with the reason."""

    metric: str
    rows: int
    items: str
    encoders: tuple[EncoderScores, ...]
    failed: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Estimates:
    """The estimates of one encoder, before it is ranked among others."""

    known: dict[str, Any]
    counts: RowCounts
    by_layer: dict[int, tuple[RowCounts, dict[str, float]]]


def select_encoders(splits: Splits, options: SelectionOptions, cache: CacheOptions | None = None) -> Selection:
    """Rank encoders by their features, before any is trained.

    The probe ranks. It alone has the unit of the task's score, is measured on held-out items, and has a confidence
    interval; the others are likelihoods and traces whose size depends on the width of the encoder. An
    encoder's probe is that of its layers together (the mean of their probabilities), as fine-tuning may use any of
    them: by the last layer alone, the bottom half of an encoder tuned for something else can look better than the
    whole. Raises UserError where no encoder can be ranked.
    """
    sample = sample_of(splits, options.sample, options.seed)
    try:
        accelerator = Accelerator(cpu=hardware.is_cpu_only(), mixed_precision=hardware.precision("auto"))
    except ValueError:  # a run before this one has chosen another precision, which holds for the whole process
        accelerator = Accelerator()
    hardware.use_cores()
    estimates: dict[str, _Estimates] = {}
    failed = {}
    for name in dict.fromkeys(options.encoders):
        try:
            estimates[name] = _estimate(name, sample, options, accelerator, cache)
        except Exception as error:  # a checkpoint can fail in any way, and the others are ranked all the same
            if is_full_disk(error):
                raise
            failed[name] = " ".join(str(error).split()) or type(error).__name__
            log.info("%s is left out: %s", name, failed[name])
    if not estimates:
        raise ModelError(f"none of the encoders can be ranked: {'; '.join(f'{k}: {v}' for k, v in failed.items())}")
    return Selection(
        metric=score_name(sample.outside),
        rows=len(sample.data),
        items=f"{len(sample.labels):,} {sample.what}",
        encoders=_ranked(estimates, options.seed),
        failed=failed,
    )


def _estimate(
    name: str, sample: Sample, options: SelectionOptions, accelerator: Accelerator, cache: CacheOptions | None
) -> _Estimates:
    model_options = ModelOptions(
        model_name_or_path=name, max_length=options.max_length, trust_remote_code=options.trust_remote_code
    )
    model = TransferModel.from_options(model_options, sample.head)
    log.info("%s: running its %d layers on %s rows.", name, model.encoder.depth, f"{len(sample.data):,}")
    began = time.perf_counter()
    inputs = TokenInputs(model.encode(sample.data), model.pad_id)
    features = features_by_layer(model, inputs, sample.kept, accelerator, cache)
    passed = time.perf_counter()
    if not all(np.isfinite(values).all() for values in features.values()):
        raise UserError("its features are not finite numbers.")
    chances, by_layer = [], {}
    with counted("estimating", len(features)) as bar:
        for layer, values in features.items():
            of_layer = probe(values, sample.labels, sample.groups, options.seed).chances
            chances.append(of_layer)
            by_layer[layer] = (
                _counts(of_layer, sample),
                {
                    "logme": logme(values, sample.labels),
                    "h_score": h_score(values, sample.labels),
                    "nleep": nleep(values, sample.labels, options.seed),
                },
            )
            bar.update()
    encoder = model.encoder
    known = {
        "encoder": name,
        "family": encoder.family,
        "depth": encoder.depth,
        "width": encoder.width,
        "parameters": encoder.parameter_count,
        "megabytes": round(sum(p.numel() * p.element_size() for p in encoder.base.parameters()) / 1e6, 1),
        "seconds_of_pass": round(passed - began, 2),
        "seconds_of_estimating": round(time.perf_counter() - passed, 2),
    }
    return _Estimates(known, _counts(np.mean(chances, axis=0), sample), by_layer)


def _counts(chances: np.ndarray, sample: Sample) -> RowCounts:
    return counts_of(chances.argmax(axis=1), sample.labels, sample.groups, sample.outside)


def _ranked(estimates: Mapping[str, _Estimates], seed: int) -> tuple[EncoderScores, ...]:
    several = list(estimates.values())
    firsts = shares_first([one.counts for one in several], seed)
    intervals = [_interval(one.counts, seed) for one in several]
    lasts = [list(one.by_layer.values())[-1][1] for one in several]
    ranks = {"probe": _ranks([score for score, _, _ in intervals])} | {
        name: _ranks([last[name] for last in lasts]) for name in ESTIMATORS if name != "probe"
    }
    encoders = []
    for i, one in enumerate(several):
        score, low, high = intervals[i]
        layers = tuple(
            LayerScores(number, *_interval(counts, seed), **values) for number, (counts, values) in one.by_layer.items()
        )
        its_ranks = {name: places[i] for name, places in ranks.items()}
        encoders.append(
            EncoderScores(**one.known, probe=score, low=low, high=high, first=firsts[i], ranks=its_ranks, layers=layers)
        )
    return tuple(sorted(encoders, key=lambda encoder: encoder.ranks["probe"]))


def _interval(counts: RowCounts, seed: int) -> Interval:
    return interval(counts, seed=seed)["score"]


def _ranks(values: Sequence[float]) -> list[int]:
    """1 for the greatest; those that are equal share a rank."""
    return [1 + sum(bool(other > value) for other in values) for value in values]
