"""Out-of-fold label probabilities of texts by their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlp_transfer.checks.out_of_fold import Folds, out_of_fold

_STRENGTH, _RATIOS_STRENGTH = 5.0, 0.3  # C of logistic regression on TF-IDF, and on log-count ratios
_MOST_LABELS = 20  # beyond, a classifier for each label and fold takes too long
_LEAST = 1e-6  # a probability, so that it has a logarithm
_TOKENS = r"\S+"


def chances_by_words(texts: Sequence[str], targets: np.ndarray, folds: Folds) -> np.ndarray:
    """Probabilities `(texts, labels)`, out of fold, of label ids `targets` `(texts,)`.

    The pooled ones of logistic regression on TF-IDF of words and word pairs, and on log-count ratios of up to three
    words (Wang and Manning 2012, "Baselines and bigrams"), the latter where there are 20 labels at most.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # a second to load
    from sklearn.linear_model import LogisticRegression

    weighed = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_TOKENS).fit_transform(texts)
    classifier = LogisticRegression(C=_STRENGTH, max_iter=200)
    by_weight = out_of_fold(classifier, weighed, targets, folds)
    if targets.max() >= _MOST_LABELS:
        return by_weight
    vectorizer = CountVectorizer(ngram_range=(1, 3), token_pattern=_TOKENS, binary=True, dtype=np.float64)
    return pooled([by_weight, _by_ratios(vectorizer.fit_transform(texts).tocsr(), targets, folds)])


def pooled(members: Sequence[np.ndarray]) -> np.ndarray:
    """The geometric mean of probabilities `(rows, labels)`, which is the mean of their log-odds; rows sum to 1."""
    means = np.exp(np.mean([np.log(np.clip(chances, _LEAST, 1)) for chances in members], axis=0))
    return means / means.sum(axis=1, keepdims=True)


def _by_ratios(counts: Any, targets: np.ndarray, folds: Folds) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    labels = int(targets.max()) + 1
    chances = np.zeros((len(targets), labels))
    for learned, judged in folds:
        for label in range(labels) if labels > 2 else [1]:
            has = targets[learned] == label
            if has.all() or not has.any():  # all rows of a label are one text, and that is judged
                chances[judged, label] = has.all()
                continue
            there, elsewhere = (1 + np.asarray(counts[learned[rows]].sum(axis=0))[0] for rows in (has, ~has))
            ratios = np.log(there / there.sum()) - np.log(elsewhere / elsewhere.sum())
            classifier = LogisticRegression(C=_RATIOS_STRENGTH, max_iter=200)
            classifier.fit(counts[learned].multiply(ratios).tocsr(), has)
            chances[judged, label] = classifier.predict_proba(counts[judged].multiply(ratios).tocsr())[:, 1]
    if labels == 2:
        chances[:, 0] = 1 - chances[:, 1]
    return chances / np.maximum(chances.sum(axis=1, keepdims=True), _LEAST)
