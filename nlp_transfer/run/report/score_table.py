"""How good is the model beside the baselines, and how sure is that?"""

from __future__ import annotations

from typing import Any

from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.heads import TaskHead
from nlp_transfer.metrics import RowCounts, difference, interval, is_error
from nlp_transfer.metrics.resampling import DRAWS, Interval

_WORK = 100_000_000  # rows times draws, seconds of time; of so many rows fewer draws tell as much
_LEAST_DRAWS = 200


def scores(head: TaskHead, report: Report, counts: RowCounts) -> list[dict[str, Any]]:
    """The task's main scores of the model and of each baseline, with the 95% interval of each, by bootstrap over rows.

    `difference` is how much better the model is than a baseline, on the same draws; above 0 it is better, also of
    scores of which less is better. `counts` are those of the model.
    """
    draws = draws_for(report.rows)
    ours = interval(counts, draws)
    others = {}
    for name, predictions in report.guesses.items():
        theirs = head.all_counts(predictions, report.references)
        others[name] = interval(theirs, draws), difference(counts, theirs, draws)
    names, lines = report.compared()
    called = dict(zip(report.baselines, (name for name, _ in lines[1:]), strict=True))
    found = []
    for name in names:
        low_is_good = is_error(name)
        found.append(
            {
                "name": name,
                "lower_is_better": low_is_good,
                "model": ours[name]._asdict(),
                "baselines": [
                    {"name": called[key], **theirs[name]._asdict(), "difference": better(gap[name], low_is_good)}
                    for key, (theirs, gap) in others.items()
                ],
            }
        )
    return found


def better(gap: Interval, lower_is_better: bool) -> dict[str, float]:
    """A difference of scores as how much better the first is."""
    if lower_is_better:
        gap = Interval(-gap.score, -gap.high, -gap.low)
    return gap._asdict()


def draws_for(rows: int) -> int:
    """How many draws so many rows are worth."""
    return max(_LEAST_DRAWS, min(DRAWS, _WORK // max(rows, 1)))
