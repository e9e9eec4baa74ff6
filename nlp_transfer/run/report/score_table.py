"""Scores of the model and the baselines, with bootstrap intervals."""

from __future__ import annotations

from typing import Any

from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.heads import TaskHead
from nlp_transfer.metrics import RowCounts, difference, interval, is_error
from nlp_transfer.metrics.resampling import DRAWS, Interval

_WORK = 100_000_000  # rows times draws, which takes seconds; with more rows, intervals need fewer draws
_LEAST_DRAWS = 200


def scores(head: TaskHead, report: Report, counts: RowCounts) -> list[dict[str, Any]]:
    """The task's main scores of the model and of each baseline, with 95% intervals by bootstrap over rows.

    `difference` is the gain of the model over a baseline, on the same draws; above 0 the model is better, also for
    scores of which lower is better. `counts` are those of the model.
    """
    draws = draws_for(report.rows)
    of_model = interval(counts, draws)
    of_baselines = {}
    for name, predictions in report.guesses.items():
        baseline_counts = head.all_counts(predictions, report.references)
        of_baselines[name] = interval(baseline_counts, draws), difference(counts, baseline_counts, draws)
    names, lines = report.compared()
    titles = dict(zip(report.baselines, (name for name, _ in lines[1:]), strict=True))
    table = []
    for name in names:
        lower_is_better = is_error(name)
        table.append(
            {
                "name": name,
                "lower_is_better": lower_is_better,
                "model": of_model[name]._asdict(),
                "baselines": [
                    {"name": titles[key], **score[name]._asdict(), "difference": gain(gap[name], lower_is_better)}
                    for key, (score, gap) in of_baselines.items()
                ],
            }
        )
    return table


def gain(gap: Interval, lower_is_better: bool) -> dict[str, float]:
    """A difference of scores as the gain of the first, which is above 0 if it is better."""
    if lower_is_better:
        gap = Interval(-gap.score, -gap.high, -gap.low)
    return gap._asdict()


def draws_for(rows: int) -> int:
    """The number of bootstrap draws for a number of rows."""
    return max(_LEAST_DRAWS, min(DRAWS, _WORK // max(rows, 1)))
