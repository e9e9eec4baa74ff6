"""Detection of a collapsed network, which predicts one label for every row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

log = logging.getLogger(__name__)

_SHARE_OF_PRIOR = 0.95  # of the loss of guessing by the frequency of the labels


@dataclass
class Collapse:
    """Observes evaluations, and logs once if for an epoch all items get one label, at the loss of guessing.

    `since` is the epoch of the first evaluation in a row at which that was so.
    """

    since: float | None = None
    is_detected: bool = False

    def observe(
        self,
        outputs: Sequence[np.ndarray],
        labels: Sequence[int],
        loss: float,
        epoch: float,
        *,
        run_ends: bool = False,
        best: float | None = None,
        remedy: str = "",
    ) -> None:
        """Check the logits, `(items, labels)` for each row, the label ids of all items, and their mean loss.

        `best` is the epoch of the best evaluation where patience has run out: if all items got one label even then, it
        need not last an epoch. `remedy` is a sentence that ends the log line.
        """
        counts = np.bincount(labels)
        shares = counts[counts > 0] / len(labels)
        prior = float(-(shares * np.log(shares)).sum())
        predicted = np.unique(np.concatenate(list(outputs)).argmax(axis=-1))
        if len(predicted) > 1 or len(shares) < 2 or loss < _SHARE_OF_PRIOR * prior:
            self.since = None
            return
        self.since = epoch if self.since is None else self.since
        has_lasted = (run_ends and epoch >= 1) or epoch - self.since >= 1 - 1e-9
        if not self.is_detected and (has_lasted or (best is not None and self.since <= best)):
            self.is_detected = True
            log.info(
                "Collapsed or untrained: after epoch %.3g the network predicts one label for every validation item, "
                "and its loss, %.3f, is no better than that of guessing (%.3f). %s",
                epoch,
                loss,
                prior,
                remedy,
            )
