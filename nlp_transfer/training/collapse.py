"""Has the network stopped telling rows apart?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

log = logging.getLogger(__name__)

_SHARE_OF_PRIOR = 0.95  # of the loss of one who knows how frequent the labels are, and nothing else


@dataclass
class Collapse:
    """Looks at evaluations, and says once if all items are given one label, at the loss of guessing, for an epoch.

    `since` is the epoch from which on that has been so.
    """

    since: float | None = None
    said: bool = False

    def see(
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
        """Look at logits, `(items, labels)` for each row, at the label ids of all items, and at their mean loss.

        `best` is the epoch of the best evaluation, where patience has run out with it: if rows were one even then, no
        epoch has to pass. `remedy` is a sentence that follows what is said.
        """
        counts = np.bincount(labels)
        shares = counts[counts > 0] / len(labels)
        prior = float(-(shares * np.log(shares)).sum())
        given = np.unique(np.concatenate(list(outputs)).argmax(axis=-1))
        if len(given) > 1 or len(shares) < 2 or loss < _SHARE_OF_PRIOR * prior:
            self.since = None
            return
        self.since = epoch if self.since is None else self.since
        has_lasted = (run_ends and epoch >= 1) or epoch - self.since >= 1 - 1e-9
        if not self.said and (has_lasted or (best is not None and self.since <= best)):
            self.said = True
            log.info(
                "After epoch %.3g the network gives every validation item one label, and its loss, %.3f, is no better "
                "than that of guessing (%.3f): it has collapsed, or learned nothing yet. %s",
                epoch,
                loss,
                prior,
                remedy,
            )
