"""Rows that may be mislabelled, by confident learning.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels") on
probabilities out of fold (those of each row are by classifiers that were fitted to other rows), and on those of
networks that were trained for so short a time that they know no row by heart.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nlp_transfer.checks.checked_rows import Part
from nlp_transfer.checks.finding import Example, Finding, Place, some
from nlp_transfer.checks.out_of_fold import FOLDS, folds_of, out_of_fold
from nlp_transfer.checks.word_probabilities import chances_by_words, pooled
from nlp_transfer.config import CacheOptions, ModelOptions
from nlp_transfer.data.row_store import values
from nlp_transfer.data.splits import Splits

log = logging.getLogger(__name__)

_STRENGTHS = (0.001, 0.01, 0.1)  # C of logistic regression on standardised features
_NETWORKS = 2  # that are trained on all rows
_ENOUGH = 2000  # rows: with fewer, one epoch teaches a network too little


class Suspect(NamedTuple):
    """A row, or a word of a sentence, whose label may be wrong: what it has, and what it seems to be.

    `probability` is that of its label; the lowest comes first. `word` is its place in the sentence.
    """

    place: Place
    text: str
    given: str
    suggested: str
    probability: float
    word: int | None = None


@dataclass(frozen=True)
class _Items:
    """Rows, or words, to be judged: label names, groups that share a fold, and rows.

    Of the encoder they have features `(items, width)`, or else probabilities `(items, labels)`.
    """

    features: np.ndarray | None
    chances: np.ndarray | None
    labels: np.ndarray
    groups: np.ndarray
    rows: np.ndarray
    words: np.ndarray | None
    texts: list[str] | None


def suspects(
    splits: Splits,
    parts: Sequence[Part],
    options: ModelOptions | None = None,
    cache: CacheOptions | None = None,
    seed: int = 0,
    how: str = "quick",
) -> tuple[Suspect, ...]:
    """The rows of all splits that may be mislabelled, the most doubtful first; of tagged sentences, the words.

    For texts two kinds of probabilities are pooled, which err on different rows: those of classifiers on words
    (`word_probabilities.chances_by_words`), and those of logistic regression on features of the encoder, out of fold.
    The features are cached on disk as `cache` says. With `how` `thorough`, of 2,000 texts or more, the encoder's are
    the mean over networks that were trained on all rows for one epoch (`encoder_probabilities.trained_chances`). Rows
    of one text share a fold; labels of fewer texts (of words: in fewer sentences) than folds are left out.

    Of as many training rows ranked first as were flipped (5%, by MiniLM), `quick` had 48 to 53% flipped on SST-2 and
    `thorough` 58 to 60 (from draw to draw); on TREC both had 84% (one draw). More networks, folds, a second round
    without the rows that the first one doubts, or half-trained layers on cached activations gave no more.
    """
    items = _items(splits, parts, options or ModelOptions(), cache, seed, how)
    chosen = _with_enough_groups(items)
    if left_out := len(items.labels) - len(chosen):
        of = "sentences" if items.texts is None else "texts"
        log.info("Label errors: %s of labels with fewer than %d %s are left out.", f"{left_out:,}", FOLDS, of)
    names, targets = np.unique(items.labels[chosen], return_inverse=True)
    if len(names) < 2:
        return ()
    chances = _chances(items, chosen, targets, seed)
    from cleanlab.filter import find_label_issues  # an optional package (extra `check`)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels that no row is sure to have
        doubtful = find_label_issues(targets, chances, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(_suspect(parts, items, int(chosen[i]), names, targets[i], chances[i]) for i in doubtful)


def suspect_findings(doubted: Sequence[Suspect], total: int, is_tagged: bool) -> list[Finding]:
    """The finding that labels may be wrong, if any may."""
    if not doubted:
        return []
    what = "words" if is_tagged else "rows"
    return [
        Finding(
            "note",
            "label_errors",
            f"{len(doubted):,} of {total:,} {what} have a label that classifiers doubt.",
            "Read them from the top, and correct the labels that are wrong; many further down will be right.",
            tuple(dict.fromkeys(suspect.place for suspect in doubted)),
            some(Example(suspect.place, suspect.text, suspect_in_words(suspect)) for suspect in doubted),
        )
    ]


def suspect_in_words(suspect: Suspect) -> str:
    """A suspect in words: "is negative, seems positive"."""
    what = "" if suspect.word is None else f"'{suspect.text.split(' ')[suspect.word]}' "
    return f"{what}is {suspect.given}, seems {suspect.suggested}"


def _items(
    splits: Splits, parts: Sequence[Part], options: ModelOptions, cache: CacheOptions | None, seed: int, how: str
) -> _Items:
    from nlp_transfer.checks.encoder_probabilities import features_and_labels, trained_chances

    is_tagged = parts[0].is_tagged
    is_enough = not is_tagged and sum(map(len, parts)) >= _ENOUGH
    features = chances = None
    if how == "quick" or not is_enough:
        if how != "quick":
            log.info("Label errors: fewer than %s texts: using frozen features.", f"{_ENOUGH:,}")
        features, labels = features_and_labels(splits, options, cache, seed)
    else:
        log.info(
            "Label errors: the encoder trains on %s rows, %d times for an epoch (--label_errors quick runs it once).",
            f"{sum(map(len, parts)):,}",
            _NETWORKS,
        )
        chances = trained_chances(splits, options, [(seed + i) % 2**31 for i in range(_NETWORKS)])
        labels = np.array([label for part in parts for (label,) in part.labels()])
    _, first, group = np.unique(np.concatenate([part.keys for part in parts]), return_index=True, return_inverse=True)
    groups = first[group]  # keys differ from process to process, and folds shall not
    rows = np.arange(len(groups))
    if not is_tagged:
        return _Items(features, chances, labels, groups, rows, None, [text for part in parts for text in part.texts()])
    lengths = np.array([len(words) for part in parts for words in values(part.rows.data, "words")])
    rows = np.repeat(rows, lengths)
    words = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    types = np.array([name.partition("-")[2] or "O" for name in labels])  # where an entity begins is another matter
    return _Items(features, None, types, groups[rows], rows, words, None)


def _with_enough_groups(items: _Items) -> np.ndarray:
    """The items whose labels are in enough groups that there are some to learn from, whichever fold is judged."""
    _, targets = np.unique(items.labels, return_inverse=True)
    pairs = np.unique(np.stack([targets, items.groups]), axis=1)
    return np.flatnonzero(np.bincount(pairs[0])[targets] >= FOLDS)


def _chances(items: _Items, chosen: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities `(chosen, labels)`."""
    from sklearn.linear_model import LogisticRegression  # a second to load, as all below
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = folds_of(targets, items.groups[chosen], seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that stop early
        if items.chances is not None:
            ids = np.flatnonzero(np.isin(np.unique(items.labels), items.labels[chosen]))
            by_encoder = items.chances[np.ix_(chosen, ids)]
            by_encoder /= by_encoder.sum(axis=1, keepdims=True)
        else:
            assert items.features is not None
            features = items.features[chosen]
            tried = [
                out_of_fold(
                    make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=200)), features, targets, folds
                )
                for c in _STRENGTHS
            ]
            labels = range(int(targets.max()) + 1)
            by_encoder = min(tried, key=lambda chances: log_loss(targets, chances, labels=labels))
        if items.texts is None:
            return by_encoder
        return pooled([by_encoder, chances_by_words([items.texts[i] for i in chosen], targets, folds)])


def _suspect(
    parts: Sequence[Part], items: _Items, item: int, names: np.ndarray, target: int, chances: np.ndarray
) -> Suspect:
    row, owner = int(items.rows[item]), 0
    while row >= len(parts[owner]):
        row, owner = row - len(parts[owner]), owner + 1
    part = parts[owner]
    return Suspect(
        part.place(row),
        part.text(row),
        str(names[target]),
        str(names[int(chances.argmax())]),
        round(float(chances[target]), 4),
        None if items.words is None else int(items.words[item]),
    )
