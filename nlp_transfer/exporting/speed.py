"""How many texts a second forms of a model predict, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Predict = Callable[[Sequence[Any], int], Any]
"""Texts and a batch size -> predictions."""

_SECONDS = 1.5  # of one turn of one form
_TURNS = 3
_MOST_ALONE = 64  # texts that are predicted one by one


@dataclass(frozen=True)
class Speed:
    """Texts a second, one by one and in batches: the best of the turns."""

    alone: float
    in_batches: float


def measure_speeds(forms: Mapping[str, Predict], texts: Sequence[Any], batch_size: int) -> dict[str, Speed]:
    """The speed of each form on the same texts.

    Forms take turns, so that what else the machine does hits all of them, and the best turn of each counts. As many
    texts are taken as the slowest form predicts in about a second.
    """
    first = list(texts[: 2 * batch_size])
    slowest = max(_seconds(predict, first, batch_size) for predict in forms.values())  # which warms them up as well
    count = max(len(first), min(len(texts), int(_SECONDS * len(first) / slowest)))
    many, few = list(texts[:count]), list(texts[:_MOST_ALONE])
    few = few[: max(1, int(4 * _SECONDS / max(_one_by_one(predict, few[:4]) for predict in forms.values())))]
    alone, batches = dict.fromkeys(forms, 0.0), dict.fromkeys(forms, 0.0)
    for _ in range(_TURNS):
        for name, predict in forms.items():
            batches[name] = max(batches[name], len(many) / _seconds(predict, many, batch_size))
            alone[name] = max(alone[name], len(few) / _one_by_one(predict, few))
    return {name: Speed(alone[name], batches[name]) for name in forms}


def _seconds(predict: Predict, texts: Sequence[Any], batch_size: int) -> float:
    started = time.perf_counter()
    predict(texts, batch_size)
    return time.perf_counter() - started


def _one_by_one(predict: Predict, texts: Sequence[Any]) -> float:
    return sum(_seconds(predict, [text], 1) for text in texts)
