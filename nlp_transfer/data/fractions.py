"""Nested, stratified shares of the training rows."""

from __future__ import annotations

import math

import numpy as np

from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import part_of, places_by_label
from nlp_transfer.errors import OptionError


def nested_share(rows: Rows, share: float, seed: int) -> Rows:
    """A `share` of the rows, in their order; those of a larger share with the same seed hold those of a smaller one.

    Stratified as `hold_out` says: each label keeps the share of its rows, rounded up, so none goes missing. Rows with
    tags or with several labels are drawn at random. Raises OptionError unless `share` lies in (0, 1].
    """
    if not 0 < share <= 1:
        raise OptionError(f"a share of rows lies in (0, 1]; got {share:g}.")
    if share == 1:
        return rows
    label_column = None if "tags" in rows.data.column_names else "label"
    groups = places_by_label(rows.data, label_column)
    chance = np.random.default_rng(seed)
    belongs = np.zeros(len(rows.data), dtype=bool)
    for label in sorted(groups):
        count = math.ceil(round(share * len(groups[label]), 9))  # 0.07 * 100 is more than 7
        belongs[chance.permutation(groups[label])[:count]] = True
    return part_of(rows, belongs)
