"""The sample of rows by which encoders are ranked, with its texts or words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.row_store import values
from nlp_transfer.data.splits import Splits, hold_out
from nlp_transfer.errors import DataError
from nlp_transfer.heads import TaskHead
from nlp_transfer.heads.registry import head_of_rows
from nlp_transfer.heads.sentiment import are_scores

_LEAST = 20  # texts or words: fewer cannot rank encoders


@dataclass(frozen=True)
class Sample:
    """Some training rows, and the items in them that are classified: texts or words.

    `kept` is a mask of the texts of all rows, or of their words; of what is kept, `(items,)`, `labels` are ids in
    `names`, and `groups` the ids of what shares a fold and a draw: a sentence, or rows of one text. `outside` is the
    label of words in no entity, None where the items are texts. `head` is what an encoder is loaded with.
    """

    data: Dataset
    kept: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    names: tuple[str, ...]
    outside: int | None
    head: TaskHead

    @property
    def what(self) -> str:
        """The items in a word."""
        return "texts" if self.outside is None else "words"


def sample_of(splits: Splits, most: int, seed: int = 0) -> Sample:
    """At most `most` rows of train, each label with its share; of sentences, at most twice as many words.

    The label of a word is the type of its entity, without its position in it. Those in entities are taken
    up to half, the others at random, since a sentence is mostly words in no entity, which every encoder gets right.
    DataError for rows that have several labels or numbers, and where too few are left.
    """
    is_tagged = splits.are_tagged
    _require_one_label(splits, is_tagged)
    head, splits = head_of_rows(splits, pooling="mean")
    rows, total = splits.train, len(splits.train.data)
    if total > most:
        _, rows = hold_out(rows, most / total, seed, None if is_tagged else "label")
    if is_tagged:
        tags = list(values(rows.data, "tags"))
        items = np.array([tag.partition("-")[2] or "O" for row in tags for tag in row])
        groups = np.repeat(np.arange(len(tags)), [len(row) for row in tags])
        kept = _kept_words(items != "O", 2 * most, np.random.default_rng(seed))
    else:
        items = np.array(list(values(rows.data, "label")))
        groups = np.unique(list(values(rows.data, "text")), return_inverse=True)[1]
        kept = np.ones(len(items), bool)
    known, labels = np.unique(items[kept], return_inverse=True)
    if len(labels) < _LEAST or len(known) < 2:
        raise DataError(
            f"{rows.source}: {len(labels)} texts or words of {len(known)} label{'s' * (len(known) != 1)} are too few "
            f"to rank encoders; give at least {_LEAST} of two labels."
        )
    groups = np.unique(groups[kept], return_inverse=True)[1]
    outside = int(np.searchsorted(known, "O")) if is_tagged else None
    return Sample(rows.data, kept, labels, groups, tuple(map(str, known)), outside, head)


def _require_one_label(splits: Splits, is_tagged: bool) -> None:
    rows = splits.train
    if is_tagged:
        return
    if problem_of(rows.data) != "single_label" or are_scores(values(rows.data, "label")):
        raise DataError(
            f"{rows.source}: encoders are compared on rows with one label each, or on tags, and these have several "
            f"labels, or numbers; name a column with one label in --label_column_name, or cut numbers into levels."
        )


def _kept_words(in_entity: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    kept = np.zeros(len(in_entity), bool)
    for places, room in ((np.flatnonzero(in_entity), most // 2), (np.flatnonzero(~in_entity), most)):
        left = min(room, most - int(kept.sum()), len(places))
        kept[rng.choice(places, left, replace=False)] = True
    return kept
