"""Which head does a share of the training rows have?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.row_store import values
from nlp_transfer.heads import MultiLabelHead, RegressionHead, TaskHead, TextClassificationHead
from nlp_transfer.heads.losses import CLASS_WEIGHTS, class_weights, positive_weights


def options_on(head: TaskHead, everything: Rows, share: Rows) -> dict[str, Any]:
    """The options of `head`, made for `everything`, as `share` of those rows would give them; labels stay.

    What was computed of rows that a trial does not learn from would be known to it otherwise: how frequent labels are
    (weights, shares), or the mean and deviation of numbers.
    """
    told = head.options()
    if len(share.data) == len(everything.data):
        return told
    if isinstance(head, RegressionHead):
        numbers = np.fromiter(values(share.data, "label"), np.float64)
        deviation = float(numbers.std()) or head.deviation  # of one number there is none
        return told | {"mean": float(numbers.mean()), "deviation": deviation}
    if isinstance(head, TextClassificationHead):
        then, now = (_counts(head, rows) for rows in (everything, share))
        weigh = {way: (class_weights(way, then), class_weights(way, now)) for way in CLASS_WEIGHTS}
        told["class_weights"] = _as_then(head.class_weights, weigh)
        if head.priors:
            told["priors"] = {name: count / sum(now.values()) for name, count in now.items()}
    elif isinstance(head, MultiLabelHead):
        then, now = (_counts(head, rows) for rows in (everything, share))
        sizes = len(everything.data), len(share.data)
        weigh = {
            way: (positive_weights(way, then, sizes[0]), positive_weights(way, now, sizes[1])) for way in CLASS_WEIGHTS
        }
        told["class_weights"] = _as_then(head.class_weights, weigh)
    return told


def _counts(head: TaskHead, rows: Rows) -> dict[str, int]:
    """How many rows each label has, and one where it has none."""
    found: Counter[str] = Counter()
    for label in values(rows.data, "label"):
        found.update([label] if isinstance(label, str) else label)
    return {name: max(found[name], 1) for name in head.labels}


def _as_then(given: Mapping[str, float], weigh: Mapping[str, tuple[dict[str, float], dict[str, float]]]) -> Any:
    """Weights of now in the way that gave those of then; weights that a user gave stay."""
    for then, now in weigh.values():
        if then and then.keys() == given.keys() and all(math.isclose(then[name], given[name]) for name in then):
            return now
    return given
