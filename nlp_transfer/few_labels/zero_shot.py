"""Learning labels from label texts and raw texts: the steps, each kept only if a label-free score says so."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.few_labels.cotraining import cotrained, joint, taught_vectors
from nlp_transfer.few_labels.expected_accuracy import Expectation, expectation, tempered_to
from nlp_transfer.few_labels.label_texts import LabelTexts, words_of
from nlp_transfer.few_labels.soft_layer import Layer, cosine_layer, fit_soft_layer
from nlp_transfer.few_labels.teacher import ZeroShotPipeline, teacher_probabilities, trust_in
from nlp_transfer.few_labels.text_view import SHARPNESS, TextView, centre_of, centred
from nlp_transfer.few_labels.view_agreement import agreements
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.types import Prediction, RunResult

log = logging.getLogger(__name__)

_LEAST_TRUST = 0.1  # of a teacher that is listened to: accuracy beyond chance


@dataclass(frozen=True)
class ZeroShot:
    """The result of learning without labels: the run, and the mean `(width,)` of the vectors of raw texts.

    `predictions` are those of all raw texts, in their order; None where a sample of them was learned from.
    """

    run: RunResult
    centre: np.ndarray
    predictions: list[Prediction] | None


def learn_from_label_texts(
    model: TransferModel,
    raw: Rows,
    texts: LabelTexts,
    *,
    sample: int = 20_000,
    teacher: ZeroShotPipeline | None = None,
    teacher_template: str = "This text is about {}.",
    teacher_texts: int = 500,
    batch_size: int = 32,
    seed: int = 0,
    device: torch.device | None = None,
) -> ZeroShot:
    """Fit the last layer of a text classifier to what label texts say of raw texts; the encoder stays as it is.

    Of more than `sample` raw texts so many are drawn at random. The steps are those of `learned_probabilities`. What
    they find is written into the linear layer of `model`, whose network is loaded anew with mean pooling if its head is
    the encoder's native one, and probabilities are sharpened or softened until their mean is the expected accuracy.
    """
    started = time.perf_counter()
    _require_linear_layer(model)
    if device is not None:
        model.network.to(device)
    rng = np.random.default_rng(seed)
    chosen = _sample(list(values(raw.data, "text")), sample, rng)
    vectors = model.embed(chosen, batch_size, progress="raw texts")
    owners = np.repeat(np.arange(len(texts)), [len(several) for several in texts.values()])
    label_vectors = model.embed([text for several in texts.values() for text in several], batch_size)
    view = TextView.of_texts(chosen, vectors, label_vectors, owners)

    said = None
    if teacher is not None:
        asked = np.sort(rng.choice(len(chosen), min(teacher_texts, len(chosen)), replace=False))
        log.info("Asking the teacher about %s raw texts.", f"{len(asked):,}")
        some = [chosen[place] for place in asked]
        said = asked, teacher_probabilities(teacher, some, list(texts), teacher_template, batch_size)
    probabilities, expected = learned_probabilities(view, said, seed)

    centre = centre_of(vectors)
    start = cosine_layer(vectors, view.anchors, centre, SHARPNESS)
    layer = tempered_to(expected.accuracy, fit_soft_layer(vectors, probabilities, start), vectors)
    _write_layer(model, layer)
    seconds = time.perf_counter() - started
    run = RunResult(
        metric=model.head.best_metric,
        best_score=None,
        best_epoch=None,
        steps=0,
        seconds=seconds,
        rows_per_second=len(chosen) / seconds,
        trained_weights=sum(part.size for part in layer),
        seed=seed,
        label_free=expected.record(),
    )
    predictions = _predictions(model, layer, vectors) if len(chosen) == len(raw.data) else None
    return ZeroShot(run, centre, predictions)


def learned_probabilities(
    view: TextView, said: tuple[np.ndarray, np.ndarray] | None = None, seed: int = 0
) -> tuple[np.ndarray, Expectation]:
    """Probabilities `(texts, labels)` of the view's texts, and what accuracy is to be expected of them.

    They begin at the label texts, mixed with a teacher by how far it is to be trusted, and go on by co-training if two
    views of the texts agree no less after it. `said` are the places of the texts that a teacher was asked about, and
    its probabilities `(places, labels)`.
    """
    start, trust = view.nearest_labels(), 0.0
    if said is not None:
        start, trust = _with_teacher(view, start, *said, seed)
    found = agreements(
        view,
        {
            "label texts": TextView.nearest_labels,
            "co-training": lambda half: taught_vectors(half, cotrained(half, half.nearest_labels())),
        },
        seed,
    )
    before, after = found["label texts"], found["co-training"]
    keeps = after.kappa + max(before.error, after.error) >= before.kappa
    log.info(
        "Co-training %s: of two views of the texts the labels agree %s after it than before (kappa %.2f, %.2f).",
        *("kept" if keeps else "left out", "no less" if keeps else "less", after.kappa, before.kappa),
    )
    expected = expectation(view, before.kappa, after.kappa if keeps else before.kappa, trust)
    expected.log()
    return (cotrained(view, start) if keeps else start), expected


def zero_shot_baselines(
    model: TransferModel, splits: Splits, centre: np.ndarray, *, batch_size: int = 32, seed: int = 0
) -> dict[str, list[Prediction]]:
    """Predictions of baselines that know no label either: `chance`, and `label_names`, the nearest name in words.

    They are of the scored rows of `splits`, none where there are none; `centre` is that of the raw texts.
    """
    rows = splits.scored
    if rows is None:
        return {}
    labels = list(model.head.labels)
    vectors = centred(model.embed(list(values(rows.data, "text")), batch_size), centre)
    names = centred(model.embed([words_of(name) for name in labels], batch_size), centre)
    guessed = np.random.default_rng(seed).integers(len(labels), size=len(vectors))
    return {
        "chance": [Prediction(labels[label], 1 / len(labels), {}) for label in guessed],
        "label_names": [Prediction(labels[label], 1.0, {}) for label in (vectors @ names.T).argmax(axis=1)],
    }


def _with_teacher(
    view: TextView, start: np.ndarray, places: np.ndarray, teacher: np.ndarray, seed: int
) -> tuple[np.ndarray, float]:
    """Probabilities of label texts and teacher together, and how accurate the teacher is beyond chance.

    Of the texts that it was not asked about a classifier says what it would say.
    """
    asked = view.rows(places)
    trust = trust_in(teacher.argmax(axis=1), asked, seed)
    if trust.teacher < _LEAST_TRUST:
        log.warning(
            "The teacher is left out: what it says has next to nothing to do with what the label texts say "
            "(kappa %.2f); try another --teacher_template, or other label names.",
            trust.teacher * trust.label_texts,
        )
        return start, 0.0
    log.info(
        "The teacher counts for %.0f%%: about %.0f%% of its labels are right beyond chance, and %.0f%% of those by "
        "label texts.",
        *(100 * trust.share, 100 * trust.teacher, 100 * trust.label_texts),
    )
    as_teacher = taught_vectors(asked, teacher, view.vectors)
    as_teacher[places] = joint((as_teacher[places], 1.0), (teacher, 1.0))
    return joint((as_teacher, trust.share), (start, 1 - trust.share)), trust.teacher


def _require_linear_layer(model: TransferModel) -> None:
    """A network whose last layer is linear on pooled states: native heads have more, which nothing here would train."""
    head: Any = model.head
    if head.is_native:
        model.head = type(head)(**head.options() | {"pooling": "mean"})
        model.rebuild()


def _write_layer(model: TransferModel, layer: Layer) -> None:
    weight, bias = map(torch.from_numpy, layer)
    with torch.no_grad():
        model.network.classifier.weight.copy_(weight)
        model.network.classifier.bias.copy_(bias)


def _predictions(model: TransferModel, layer: Layer, vectors: np.ndarray) -> list[Prediction]:
    """What the network says of texts whose vectors are known, without the minutes that it takes."""
    weight, bias = layer
    logits = (vectors @ weight.T + bias).astype(np.float32)
    return model.head.decode(list(logits[:, None, :]), {})


def _sample(texts: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    if len(texts) <= most:
        return list(texts)
    log.info("Learning from %s of the %s raw texts, drawn at random (--sample).", f"{most:,}", f"{len(texts):,}")
    return [texts[place] for place in np.sort(rng.choice(len(texts), most, replace=False))]
