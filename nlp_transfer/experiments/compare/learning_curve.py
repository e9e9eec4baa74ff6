"""How many labelled rows is the transfer worth?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class RowsNeeded(NamedTuple):
    """About how many rows a score takes; `bound` says where that is more than was tried, or less: "more", "less"."""

    rows: int
    bound: str = ""

    def __str__(self) -> str:
        """In words."""
        return {"": f"{self.rows:,}", "more": f"more than {self.rows:,}", "less": f"{self.rows:,} or fewer"}[self.bound]


def rows_needed(curve: Sequence[tuple[int, float]], score: float, *, less_is_better: bool = False) -> RowsNeeded:
    """How many rows it takes to reach `score` on a learning curve of (rows, score), between points along log rows.

    A curve that falls is taken to stay at its best: who has more rows may leave some out.

    >>> rows_needed([(100, 0.5), (1000, 0.7)], 0.6)
    RowsNeeded(rows=316, bound='')
    """
    sign = -1 if less_is_better else 1
    wanted, best = sign * score, -math.inf
    before: tuple[int, float] | None = None
    for rows, reached in sorted(curve):
        best = max(best, sign * reached)
        if best >= wanted:
            if before is None:
                return RowsNeeded(rows, "less")
            share = (wanted - before[1]) / (best - before[1])
            return RowsNeeded(round(math.exp(math.log(before[0]) + share * math.log(rows / before[0]))))
        before = (rows, best)
    assert before, "a curve has a point"
    return RowsNeeded(before[0], "more")
