"""Texts unlike anything in training: how unlike one is, and whether it is known."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nlp_transfer.errors import ModelError

REJECTION_FILE = "rejection.npz"
"""The file beside the weights of a model, and in an export."""

METHODS = ("mahalanobis", "energy")


class Gaussians(NamedTuple):
    """Gaussians of one covariance: `means` `(labels, width)`; `whitening` `(width, width)` is a root of its inverse."""

    means: np.ndarray
    whitening: np.ndarray

    def distances(self, states: np.ndarray) -> np.ndarray:
        """The squared Mahalanobis distance of each of `(rows, width)` to the nearest mean, in float64."""
        centre = self.means.mean(axis=0)  # so that what is squared is small
        ours = (states.astype(np.float64) - centre) @ self.whitening
        theirs = (self.means.astype(np.float64) - centre) @ self.whitening
        squared = (ours**2).sum(axis=1)[:, None] - 2 * ours @ theirs.T + (theirs**2).sum(axis=1)
        return np.asarray(squared.min(axis=1))


_NONE = Gaussians(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))
_PARTS = ("labels", "all_rows")


@dataclass(frozen=True)
class Rejection:
    """How unlike training a text is, by one of `METHODS`, and from where on it counts as unknown.

    `mahalanobis`: the least distance of the state that the last layer reads to the mean of a label, under the
    covariance that all labels share (Lee et al. 2018, "A simple unified framework for detecting out-of-distribution
    samples"), less its distance to the mean of all rows under theirs, which tells texts of the same field better (Ren
    et al. 2021, "A simple fix to Mahalanobis distance for improving near-OOD detection"). `energy`: minus the log of
    the sum of the exponentials of the logits (Liu et al. 2020, "Energy-based out-of-distribution detection").
    `labels` and `all_rows` are the Gaussians, empty for energy. `findings` are plain JSON values: what was measured.
    """

    method: str
    threshold: float
    labels: Gaussians = field(default_factory=lambda: _NONE)
    all_rows: Gaussians = field(default_factory=lambda: _NONE)
    findings: dict[str, Any] = field(default_factory=dict)

    @property
    def reads_states(self) -> bool:
        """Whether it needs the states that the last layer reads, beside the logits."""
        return self.method == "mahalanobis"

    def scores(self, logits: np.ndarray, states: np.ndarray) -> np.ndarray:
        """How unlike training each text is, `(rows,)`, from `(rows, labels)` and `(rows, width)`."""
        if not self.reads_states:
            return energies(logits)
        return self.labels.distances(states) - self.all_rows.distances(states)

    def marked(self, predictions: Iterable[Any], logits: np.ndarray, states: np.ndarray) -> Iterator[Any]:
        """Predictions, each with whether its text is `known`."""
        known = self.scores(logits, states) <= self.threshold
        return (replace(one, known=bool(is_known)) for one, is_known in zip(predictions, known, strict=True))

    def save(self, path: Path) -> None:
        """Write it as a file of arrays."""
        about = {"method": self.method, "threshold": self.threshold, "findings": self.findings}
        arrays = {f"{name}_{part}": values for name in _PARTS for part, values in getattr(self, name)._asdict().items()}
        np.savez(path, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Rejection:
        """Read what `save` wrote. Raises ModelError for a file that is damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                parts: dict[str, Any] = {
                    name: Gaussians(arrays[f"{name}_means"], arrays[f"{name}_whitening"]) for name in _PARTS
                }
                return cls(**parts, **json.loads(str(arrays["about"])))
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} is damaged; train again, or remove it to predict without.") from error


def energies(logits: np.ndarray) -> np.ndarray:
    """Minus the log of the sum of the exponentials of logits `(rows, labels)`, in float64."""
    wide = logits.astype(np.float64)
    most = wide.max(axis=1, keepdims=True)
    return -(most[:, 0] + np.log(np.exp(wide - most).sum(axis=1)))


def split_states(outputs: Sequence[np.ndarray], labels: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Logits `(items, labels)` and the mean state `(rows, width)` of rows whose outputs hold both side by side."""
    if not len(outputs):
        return [], np.zeros((0, 0), np.float32)
    return [one[:, :labels] for one in outputs], np.stack([one[:, labels:].mean(axis=0) for one in outputs])


def decoded(decoder: Any, outputs: Sequence[np.ndarray], rows: Any, rejection: Rejection | None) -> list[Any]:
    """The predictions of a decoder, or of a head, and with a `rejection` whether their texts are known.

    `outputs` then hold the states beside the logits, if it reads them.
    """
    if rejection is None:
        return list(decoder.decode(outputs, rows))
    states = np.zeros((len(outputs), 0), np.float32)
    if rejection.reads_states:
        outputs, states = split_states(outputs, len(decoder.labels))
    return list(rejection.marked(decoder.decode(outputs, rows), decoder.logits_of_rows(outputs), states))
