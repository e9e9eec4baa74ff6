"""Which labels does a classifier on the encoder doubt, though it never saw them?

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels") on
probabilities out of fold: those of each row are by classifiers that were fitted to other rows.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nlp_transfer.checks.findings import Example, Finding, Place, some
from nlp_transfer.checks.rows import Part, texts
from nlp_transfer.config import CacheOptions, ModelOptions
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.store import values

log = logging.getLogger(__name__)

_FOLDS = 5
_STRENGTHS = (0.001, 0.01, 0.1)  # C of logistic regression on standardised features
_WORDS_STRENGTH = 5.0  # C on TF-IDF


class Suspect(NamedTuple):
    """A row, or a word of a sentence, whose label may be wrong: what it has, and what it seems to be.

    `probability` is that of the label it has; the least comes first. `word` is its place in the sentence.
    """

    place: Place
    text: str
    given: str
    suggested: str
    probability: float
    word: int | None = None


@dataclass(frozen=True)
class _Items:
    """Rows, or words, to be judged: features `(items, width)`, label names, groups that share a fold, and rows."""

    features: np.ndarray
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
) -> tuple[Suspect, ...]:
    """The rows of all splits that may be mislabelled, the most doubtful first; of tagged sentences, the words.

    The encoder's features are kept on disk as `cache` says, so that a second look at the same rows starts at once. The
    probabilities are those of logistic regression on them, for texts averaged with those on TF-IDF of words and word
    pairs, which errs elsewhere. Rows of one text share a fold; labels of fewer rows than folds are left out. Of SST-2
    with 5% of the training labels flipped, half of as many training rows ranked first by MiniLM were flipped (40% by
    its features alone).
    """
    items = _items(splits, parts, options or ModelOptions(), cache, seed)
    names, targets, counts = np.unique(items.labels, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts[targets] >= _FOLDS)
    if len(kept) < len(targets):
        log.info("Label errors: %s of labels with fewer than %d are left out.", f"{len(targets) - len(kept):,}", _FOLDS)
    names, targets = np.unique(items.labels[kept], return_inverse=True)
    if len(names) < 2:
        return ()
    chances = _out_of_fold(items, kept, targets, seed)
    from cleanlab.filter import find_label_issues  # an optional package (extra `check`)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels that no row is sure to have
        doubtful = find_label_issues(targets, chances, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(_suspect(parts, items, int(kept[i]), names, targets[i], chances[i]) for i in doubtful)


def suspect_findings(found: Sequence[Suspect], total: int, is_tagged: bool) -> list[Finding]:
    """The finding that labels may be wrong, if any may."""
    if not found:
        return []
    what = "words" if is_tagged else "rows"
    return [
        Finding(
            "note",
            "label_errors",
            f"{len(found):,} of {total:,} {what} have a label that a classifier, fitted to other rows, doubts.",
            "Read them from the top, and correct the labels that are wrong; many further down will be right.",
            tuple(dict.fromkeys(suspect.place for suspect in found)),
            some(Example(suspect.place, suspect.text, told(suspect)) for suspect in found),
        )
    ]


def told(suspect: Suspect) -> str:
    """A suspect in words: "is negative, seems positive"."""
    what = "" if suspect.word is None else f"'{suspect.text.split(' ')[suspect.word]}' "
    return f"{what}is {suspect.given}, seems {suspect.suggested}"


def _items(
    splits: Splits, parts: Sequence[Part], options: ModelOptions, cache: CacheOptions | None, seed: int
) -> _Items:
    from accelerate import Accelerator  # torch, which takes seconds, and the checks before this one do not need

    from nlp_transfer import hardware
    from nlp_transfer.data.inputs import TokenInputs
    from nlp_transfer.frozen import FrozenLayers
    from nlp_transfer.heads import NERHead, TaskHead, TextClassificationHead
    from nlp_transfer.heads.text import are_pairs
    from nlp_transfer.model import TransferModel
    from nlp_transfer.strategies.features import Features, features_of

    is_tagged = parts[0].is_tagged
    head: TaskHead
    if is_tagged:
        head, splits = NERHead.for_splits(splits)
    else:
        names = sorted({label for part in parts for (label,) in part.labels()})
        head = TextClassificationHead(names, pooling="mean", pairs=are_pairs(splits))
    model = TransferModel.load(
        options.model_name_or_path,
        head,
        max_length=options.max_length,
        revision=options.model_revision,
        trust_remote_code=options.trust_remote_code,
    )
    Features().setup(model, seed)
    model.encoder.freeze(model.encoder.depth)
    try:
        accelerator = Accelerator(cpu=hardware.is_a_processor_alone(), mixed_precision=hardware.precision("auto"))
    except ValueError:  # a run before this one has chosen another precision, which holds for the whole process
        accelerator = Accelerator(cpu=hardware.is_a_processor_alone())
    model.network.to(accelerator.device)
    frozen = FrozenLayers(model.encoder, accelerator, cache)
    there = [rows for rows in (splits.train, splits.validation, splits.test) if rows is not None]
    inputs = [TokenInputs(model.encode(rows.data), model.pad_id) for rows in there]
    frozen.run(inputs, [model.encoder.depth])
    with frozen.grafted(model.encoder.depth) as feed:
        found = [features_of(model, feed(rows)) for rows in inputs]
    features = np.concatenate([features for features, _ in found])
    labels = np.array(model.head.labels.names)[np.concatenate([ids for _, ids in found])]
    _, first, group = np.unique(np.concatenate([part.keys for part in parts]), return_index=True, return_inverse=True)
    groups = first[group]  # keys differ from process to process, and folds shall not
    rows = np.arange(len(groups))
    if not is_tagged:
        return _Items(features, labels, groups, rows, None, [text for part in there for text in texts(part)])
    lengths = np.array([len(words) for part in there for words in values(part.data, "words")])
    rows = np.repeat(rows, lengths)
    words = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    types = np.array([name.partition("-")[2] or "O" for name in labels])  # where an entity begins is another matter
    return _Items(features, types, groups[rows], rows, words, None)


def _out_of_fold(items: _Items, kept: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities `(kept, labels)`."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to load, as all below
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = range(int(targets.max()) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a label all of whose rows are one text, and of fits that stop early
        folds = list(
            StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(kept, targets, items.groups[kept])
        )

        def by(classifier: Any, features: Any) -> np.ndarray:
            return cross_val_predict(classifier, features, targets, cv=folds, method="predict_proba")

        features = items.features[kept]
        tried = [
            by(make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=200)), features) for c in _STRENGTHS
        ]
        best = min(tried, key=lambda chances: log_loss(targets, chances, labels=labels))
        if items.texts is None:
            return best
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+")
        seen = words.fit_transform([items.texts[i] for i in kept])
        return (best + by(LogisticRegression(C=_WORDS_STRENGTH, max_iter=200), seen)) / 2


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
