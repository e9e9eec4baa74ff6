"""The metrics that other packages add to the scores of heads, and the direction of each metric."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nlp_transfer.errors import OptionError
from nlp_transfer.metrics.resampling import RowCounts
from nlp_transfer.types import Scores

Metric = Callable[[Sequence[Any], Sequence[Any]], float]
"""A number for predictions, as a head's `decode` returns them, and references, as its `references` returns them."""


class RegisteredMetric(NamedTuple):
    """A registered function, the tasks whose heads it scores (None: all), and its direction."""

    function: Metric
    tasks: frozenset[str] | None
    greater_is_better: bool


_METRICS: dict[str, RegisteredMetric] = {}


def register_metric(
    name: str, function: Metric, *, tasks: Sequence[str] | None = None, greater_is_better: bool = True
) -> None:
    """Add a score to every head whose `task` is one of `tasks`; to all heads where `tasks` is None.

    The score then stands beside the head's own: in reports, and wherever an option names a metric. Its confidence
    interval comes from calling `function` on each bootstrap draw of the rows, 2,000 times a model, so it should be
    quick. A name that is registered already gets the new function.

    >>> def doubt(predictions, references):
    ...     return sum(1 - p.probability for p in predictions) / len(predictions)
    >>> register_metric("doubt", doubt, tasks=["classification"], greater_is_better=False)

    Raises:
        OptionError: a name with blanks, the name `loss`, which every head has, or `tasks` that is one string.
    """
    if not name or name.split() != [name]:
        raise OptionError(f"a metric's name has no blanks; got {name!r}.")
    if name == "loss":
        raise OptionError("every head has a score 'loss'; register the metric under another name.")
    if isinstance(tasks, str):
        raise OptionError(f"tasks takes a list, such as [{tasks!r}].")
    _METRICS[name] = RegisteredMetric(function, None if tasks is None else frozenset(tasks), greater_is_better)


def metrics_for_processes() -> dict[str, RegisteredMetric]:
    """The registered metrics, for `register_all` in another process; OptionError for one that cannot be sent there."""
    for name, metric in _METRICS.items():
        try:
            pickle.dumps(metric.function)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise OptionError(
                f"the metric {name!r} cannot be sent to other processes; define its function at the top of a module."
            ) from error
    return dict(_METRICS)


def register_all(metrics: Mapping[str, RegisteredMetric]) -> None:
    """Register what `metrics_for_processes` gave in the process that started this one."""
    _METRICS.update(metrics)


def registered_metrics(task: str) -> tuple[str, ...]:
    """The names of the metrics that are registered for a task."""
    return tuple(name for name, metric in _METRICS.items() if metric.tasks is None or task in metric.tasks)


def is_error(metric: str) -> bool:
    """Whether less of a metric is better."""
    if metric in _METRICS:
        return not _METRICS[metric].greater_is_better
    return metric.endswith("loss") or metric.startswith(("mae", "mse"))


def with_registered_scores(scores: Scores, task: str, predictions: Sequence[Any], references: Sequence[Any]) -> Scores:
    """The scores of a head, and those that are registered for its task.

    Raises OptionError if a registered metric has the name of one of `scores`, ValueError if its value is not finite.
    """
    found = dict(scores)
    for name, function in _functions_for(task, scores).items():
        found[name] = float(function(predictions, references))
        if not math.isfinite(found[name]):
            raise ValueError(f"metric {name!r} gave {found[name]} for {len(references):,} rows; it has to be finite")
    return found


def with_registered_counts(
    counts: RowCounts, task: str, predictions: Sequence[Any], references: Sequence[Any]
) -> RowCounts:
    """The row counts of a head, from which the scores that are registered for its task follow as well.

    To the sums of a draw they add how often each row is drawn, since a function that is not ours needs the rows.
    """
    functions = _functions_for(task, counts.of(np.ones((1, len(counts)))))
    if not functions:
        return counts
    from scipy.sparse import csr_array, eye_array, hstack  # only where a metric is registered

    width = counts.counts.shape[1]

    def scores(sums: np.ndarray) -> Mapping[str, np.ndarray]:
        values: dict[str, list[float]] = {name: [] for name in functions}
        for times in sums[:, width:]:
            drawn = np.repeat(np.arange(len(times)), times.astype(np.int64)).tolist()
            rows = [predictions[row] for row in drawn], [references[row] for row in drawn]
            for name, function in functions.items():
                values[name].append(float(function(*rows)))
        return {**counts.scores(sums[:, :width]), **{name: np.array(column) for name, column in values.items()}}

    return RowCounts(hstack([csr_array(counts.counts), eye_array(len(counts))], format="csr"), scores)


def _functions_for(task: str, own: Mapping[str, Any]) -> dict[str, Metric]:
    """The registered functions for a task whose head has the scores `own`."""
    functions = {name: _METRICS[name].function for name in registered_metrics(task)}
    for name in functions:
        if name in own:
            raise OptionError(f"a head for {task} has a score {name!r}; register the metric under another name.")
    return functions
