"""Co-training without labels: a classifier of vectors and one of words teach each other, beginning at label texts.

(Blum and Mitchell 1998, "Combining labeled and unlabeled data with co-training"; naive Bayes on probable labels, Nigam
et al. 2000.) What one of them gets wrong the other does not, as vectors know meanings and words know their texts.
"""

from __future__ import annotations

import numpy as np

from nlp_transfer.few_labels.text_view import TextView, softmax

_ROUNDS = 3

_TAUGHT = 0.8
"""The share of each label's texts, its surest ones, that teach."""

_LEAST_SHARE = 0.1
"""The least share of texts that a label counts as having, as a part of an equal share: none dies out."""

_LABEL_TEXTS = 0.1
"""The weight of the label texts of all labels beside all texts that teach."""

_RIDGE = 3.0
"""The penalty of the classifier of vectors, as a multiple of the mean variance of a dimension."""

_SMOOTHING = 0.1
"""What is added to the weight of each word of a label, in naive Bayes."""

_VECTOR_SHARPNESS, _WORD_SHARPNESS = 10.0, 1.5
"""Factors on the scores before a softmax: on those of the ridge, and on those of words after standardising."""

_HALF_TRUSTED = 500
"""From so many texts on, what was learned counts for more than half of what the label texts say by themselves."""

_FOLDS = 4


def cotrained(view: TextView, start: np.ndarray) -> np.ndarray:
    """Probabilities `(texts, labels)` after co-training that begins at those of `start`, `(texts, labels)`.

    In each round the words of all texts are learned from the labels so far, and the vectors from what words and start
    say together; the result is the geometric mean of words, vectors and start, which so holds on to the label texts.
    Without words that texts share it is `start` itself.
    """
    if not view.words.shape[1]:
        return start
    trust = len(start) / (len(start) + _HALF_TRUSTED)
    probabilities = start
    for _ in range(_ROUNDS):
        by_words = _by_words(view, probabilities)
        by_vectors = taught_vectors(view, joint((by_words, trust), (start, 1.0)))
        probabilities = joint((by_words, trust), (by_vectors, trust), (start, 1.0))
    return probabilities


def taught_vectors(view: TextView, probabilities: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """What a linear classifier of the vectors says that learned from the surest labels and the label texts.

    It says it of the view's texts, or of `others` `(texts, width)` where these are given.

    It is ridge regression to the corners of a simplex, which is linear discriminant analysis with one covariance for
    all labels, shrunk towards a sphere; each label counts for the square root of its texts.
    """
    taught, labels = _surest(probabilities)
    count = probabilities.shape[1]
    equal, texts_of = len(taught) / count, _counts(labels, count)
    label_texts = np.bincount(view.owners, minlength=count)
    weights = np.concatenate(
        [(texts_of[labels] / equal) ** -0.5, _LABEL_TEXTS * equal / label_texts[view.owners]],
    )
    rows = np.vstack([view.vectors[taught], view.label_vectors]).astype(np.float64)
    corners = np.full((len(rows), count), -1.0 / (count - 1))
    corners[np.arange(len(rows)), np.concatenate([labels, view.owners])] = 1.0
    weight, bias = _ridge(rows, corners, weights)
    return softmax(_VECTOR_SHARPNESS * ((view.vectors if others is None else others) @ weight + bias))


def _ridge(rows: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = weights.sum()
    centre, mean = weights @ rows / total, weights @ targets / total
    weighted = (rows - centre) * weights[:, None]
    scatter = weighted.T @ (rows - centre)
    penalty = _RIDGE * max(np.trace(scatter) / len(scatter), 1e-9)
    weight = np.linalg.solve(scatter + penalty * np.eye(len(scatter)), weighted.T @ (targets - mean))
    return weight, mean - centre @ weight


def _by_words(view: TextView, probabilities: np.ndarray) -> np.ndarray:
    """What naive Bayes on words says, of each text by the texts of other folds, so that none teaches itself."""
    taught, labels = _surest(probabilities)
    count = probabilities.shape[1]
    texts_of = _counts(labels, count)
    teaches = np.zeros(probabilities.shape, np.float32)
    teaches[taught, labels] = (len(taught) / count) / texts_of[labels]  # each label counts for the same
    fold = np.arange(len(probabilities)) % _FOLDS
    scores = np.zeros(probabilities.shape)
    for number in range(_FOLDS):
        inside = fold == number
        words = np.asarray(view.words[~inside].T @ teaches[~inside]).T + _SMOOTHING
        likelihoods = np.log(words / words.sum(axis=1, keepdims=True))
        scores[inside] = view.words[inside] @ (likelihoods - likelihoods.mean(axis=0)).T
    scores -= scores.mean(axis=0)
    scores /= max(scores.std(), 1e-9)
    return softmax(_WORD_SHARPNESS * scores + 0.5 * np.log(texts_of / texts_of.mean()))


def _surest(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of the surest texts of each label, by the margin to the next label, and their labels."""
    labels = probabilities.argmax(axis=1)
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    order = np.lexsort((-margin, labels))
    starts = np.flatnonzero(np.r_[True, np.diff(labels[order]) > 0])
    sizes = np.diff(np.r_[starts, len(order)])
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    taught = np.sort(order[rank < np.repeat(np.maximum(1, (_TAUGHT * sizes).astype(int)), sizes)])
    return taught, labels[taught]


def _counts(labels: np.ndarray, count: int) -> np.ndarray:
    """The number of texts of each label, none less than the least share."""
    counts: np.ndarray = np.maximum(np.bincount(labels, minlength=count), _LEAST_SHARE * len(labels) / count)
    return counts


def joint(*several: tuple[np.ndarray, float]) -> np.ndarray:
    """The geometric mean of probabilities by their weights, which add up to 1 again."""
    total = sum(weight for _, weight in several)
    return softmax(sum(weight / total * np.log(np.maximum(one, 1e-12)) for one, weight in several))
