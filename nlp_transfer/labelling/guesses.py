"""What unlabelled rows probably are: by a head on the vectors of labelled rows and label texts, or by a tagger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nlp_transfer.few_labels.label_head import LabelHead, LabelVectors, fit_label_head
from nlp_transfer.labelling.labelling_folder import Answer

if TYPE_CHECKING:
    from nlp_transfer.models.transfer_model import TransferModel

_SHARPNESS = 20.0  # of cosines to label texts: with it their differences become probabilities as a head's are
_FEW = 16  # rows a label, up to which label texts tell more than they cost in time


class Guesses(NamedTuple):
    """Of each row the answer, how uncertain it is `(rows,)`, and for balance the kind of answer `(rows,)`."""

    answers: list[Answer]
    uncertainty: np.ndarray
    kinds: np.ndarray


def guessed_labels(vectors: np.ndarray, head: LabelHead | None, names: Sequence[str], texts: LabelVectors) -> Guesses:
    """The labels of vectors `(rows, width)` by the head of the labelled ones; without one the nearest label text tells.

    The uncertainty is the margin between the two most probable labels, from 0 to 1, upside down.
    """
    logits = head.logits(vectors) if head else _SHARPNESS * vectors @ _centres(texts, len(names)).T
    best = logits.argmax(axis=1)
    return Guesses([names[place] for place in best], uncertainty_of(_softmax(logits)), best)


def head_for(vectors: np.ndarray, targets: np.ndarray, count: int, texts: LabelVectors | None) -> LabelHead:
    """The head of labelled rows `(rows, width)`; label texts count as rows while labels have few rows of their own."""
    is_few = len(targets) < _FEW * count or len(set(targets.tolist())) < count  # one without a row has its text alone
    return fit_label_head(vectors, targets, count, texts if is_few else None)


def uncertainty_of(probabilities: np.ndarray) -> np.ndarray:
    """1 less the margin between the two greatest probabilities of each row."""
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    top = np.partition(probabilities, -2, axis=1)
    return 1 - (top[:, -1] - top[:, -2])


def _centres(texts: LabelVectors, count: int) -> np.ndarray:
    """The mean vector of the texts of each label, `(count, width)`, at a length of 1."""
    means = np.stack([texts.vectors[texts.labels == label].mean(axis=0) for label in range(count)])
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def _softmax(logits: np.ndarray) -> np.ndarray:
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return chances / chances.sum(axis=1, keepdims=True)


def guessed_entities(model: TransferModel, texts: Sequence[str], types: Sequence[str]) -> Guesses:
    """The entities of texts by a tagger, of the `types` that are wanted.

    A text is as uncertain as its words are on average: 1 less the probability of a word's tag. Of kinds there is one.
    """
    answers: list[Answer] = []
    uncertainty = []
    predictions: Iterator[object] = model.predict(iter(texts))
    for prediction in predictions:
        spans = prediction.spans  # type: ignore[attr-defined]
        answers.append([[span.start, span.end, span.type] for span in spans if span.type in types])
        chances = prediction.probabilities  # type: ignore[attr-defined]
        uncertainty.append(1 - float(np.mean(chances)) if len(chances) else 0.0)
    return Guesses(answers, np.array(uncertainty), np.zeros(len(answers), int))
