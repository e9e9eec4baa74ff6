"""What learning without labels sees: the vectors and words of raw texts, and the vectors of label texts among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

SHARPNESS = 10.0
"""The factor on cosines before a softmax: those of centred vectors of one label and another differ by about 0.1."""

_FEWEST_WITH_A_WORD = 2  # texts: a word of one text alone tells nothing of others


@dataclass(frozen=True)
class TextView:
    """Raw texts and label texts as co-training sees them.

    `vectors` `(texts, width)` and `label_vectors` `(label texts, width)` have length 1, and the mean of the raw texts
    is taken out of both: what all texts have in common tells no label from another. `words` `(texts, words)` is sparse
    TF-IDF, and `owners` `(label texts,)` holds the label id of each label text.
    """

    vectors: np.ndarray
    words: csr_matrix
    label_vectors: np.ndarray
    owners: np.ndarray

    @classmethod
    def of_texts(
        cls, texts: Sequence[str], vectors: np.ndarray, label_vectors: np.ndarray, owners: np.ndarray
    ) -> TextView:
        """The view of `texts` with sentence vectors `vectors`, as an encoder gives them."""
        centre = centre_of(vectors)
        return cls(centred(vectors, centre), _words(texts), centred(label_vectors, centre), owners)

    @cached_property
    def anchors(self) -> np.ndarray:
        """The vector of each label, `(labels, width)`: the mean of its label texts, of length 1."""
        means = [self.label_vectors[self.owners == label].mean(axis=0) for label in range(self.owners.max() + 1)]
        return unit(np.stack(means))

    def nearest_labels(self) -> np.ndarray:
        """Probabilities `(texts, labels)` by the cosine of a text with each label's vector."""
        return softmax(SHARPNESS * self.vectors @ self.anchors.T)

    def halves(self, rng: np.random.Generator) -> tuple[TextView, TextView]:
        """Two views of the same texts that share neither dimension nor word, and no label text where a label has two.

        A label with a single text has it in both.
        """
        parts = []
        dimensions, words = (rng.permutation(count) for count in (self.vectors.shape[1], self.words.shape[1]))
        sides = self._sides_of_label_texts(rng)
        by_word = self.words.tocsc()
        for side in (0, 1):
            of_side, of_words = dimensions[side::2], np.sort(words[side::2])
            rows = (sides == side) | (sides == _BOTH)
            parts.append(
                TextView(
                    unit(self.vectors[:, of_side]),
                    by_word[:, of_words].tocsr(),
                    unit(self.label_vectors[rows][:, of_side]),
                    self.owners[rows],
                )
            )
        return parts[0], parts[1]

    def _sides_of_label_texts(self, rng: np.random.Generator) -> np.ndarray:
        sides = np.full(len(self.owners), _BOTH)
        for label in np.unique(self.owners):
            places = rng.permutation(np.flatnonzero(self.owners == label))
            if len(places) > 1:
                sides[places] = (np.arange(len(places)) + rng.integers(2)) % 2  # of three, either side may get two
        return sides

    def sample(self, most: int, rng: np.random.Generator) -> TextView:
        """The same view of at most `most` texts, drawn at random."""
        if len(self.vectors) <= most:
            return self
        return self.rows(np.sort(rng.choice(len(self.vectors), most, replace=False)))

    def rows(self, places: np.ndarray) -> TextView:
        """The same view of some texts."""
        return TextView(self.vectors[places], self.words[places], self.label_vectors, self.owners)


_BOTH = -1  # the side of a label text that both halves have


def centre_of(vectors: np.ndarray) -> np.ndarray:
    """What all texts have in common, `(width,)`: the mean of their vectors, each of length 1."""
    mean: np.ndarray = unit(vectors).mean(axis=0)
    return mean


def centred(vectors: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Vectors without what all texts have in common, of length 1."""
    return unit(unit(vectors) - centre)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(..., width)` of length 1; of a zero vector itself."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of scores `(rows, labels)`."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _words(texts: Sequence[str]) -> csr_matrix:
    from scipy.sparse import csr_matrix  # these take a second, which other uses of the package need not wait for
    from sklearn.feature_extraction.text import TfidfVectorizer

    fewest = min(_FEWEST_WITH_A_WORD, len(texts))
    try:
        return TfidfVectorizer(
            token_pattern=r"\w+|[^\w\s]", sublinear_tf=True, min_df=fewest, dtype=np.float32
        ).fit_transform(texts)
    except ValueError:  # no two texts have a word in common
        return csr_matrix((len(texts), 0), dtype=np.float32)
