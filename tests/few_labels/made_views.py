"""Views of made-up texts, in which label texts say only a part of what the labels are."""

from __future__ import annotations

import numpy as np

from nlp_transfer.few_labels.text_view import TextView

TOPICS = (("goal", "match", "team", "coach"), ("bank", "share", "profit", "market"), ("film", "actor", "scene", "plot"))


def made_view(
    rows: int = 300, *, noise: float = 1.0, texts_of_a_label: int = 4, misled: float = 1.0, seed: int = 0
) -> tuple[TextView, np.ndarray]:
    """A view of texts of three topics, and the true label of each `(rows,)`.

    Vectors are a topic's direction and noise; those of label texts lie `misled` beside it, each in a way of its own.
    """
    rng = np.random.default_rng(seed)
    width = 40
    directions = np.linalg.qr(rng.normal(size=(width, len(TOPICS))))[0].T * 3
    labels = rng.integers(len(TOPICS), size=rows)
    vectors = directions[labels] + noise * rng.normal(size=(rows, width))
    owners = np.repeat(np.arange(len(TOPICS)), texts_of_a_label)
    label_vectors = directions[owners] + misled * rng.normal(size=(len(owners), width))
    texts = [" ".join(["the", *rng.choice(TOPICS[label], 2), f"w{rng.integers(40)}"]) for label in labels]
    return TextView.of_texts(texts, vectors + 5, label_vectors + 5, owners), labels


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == labels))
