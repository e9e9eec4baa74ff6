"""Probabilities of logits, and logits of windows that become those of their text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW_POOLINGS = ("mean", "max")
"""How the logits of the windows of a text become one."""


def softmax(logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
    """Probabilities of logits `(items, labels)` at a temperature, by default 1; computed in float64."""
    scaled = logits.astype(np.float64) / (temperature or 1.0)
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of each logit by itself; it does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))


def pooled_windows(outputs: Sequence[np.ndarray], how: str, labels: int) -> np.ndarray:
    """Logits `(rows, labels)` of rows that have `(windows, labels)` each; `how` is one of `WINDOW_POOLINGS`."""
    pool = np.mean if how == "mean" else np.max
    if not len(outputs):
        return np.zeros((0, labels), np.float32)
    return np.stack([logits[0] if len(logits) == 1 else pool(logits, axis=0) for logits in outputs])
