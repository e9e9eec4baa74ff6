"""How are scores written, so that a person reads them as points?"""

from __future__ import annotations

from nlp_transfer.metrics import Interval, is_error

MARGIN = 0.02
"""A difference that is nothing to act on: two points, of an error 2% of it."""


def shown(value: float, metric: str, *, signed: bool = False) -> str:
    """A score in points of 100, and an error as it is.

    >>> shown(0.9612, "accuracy"), shown(-0.002, "accuracy", signed=True), shown(0.25, "mse")
    ('96.1', '-0.2', '0.250')
    """
    sign = "+" if signed else ""
    text = f"{value:{sign}.3f}" if is_error(metric) else f"{100 * value:{sign}.1f}"
    return text if float(text) else text.lstrip("+-")


def bounds(interval: Interval, metric: str, *, signed: bool = False) -> str:
    """The ends of an interval, as in `-0.9..0.5`."""
    return f"{shown(interval.low, metric)}..{shown(interval.high, metric)}"


def margin_of(metric: str, score: float) -> float:
    """How much is nothing to act on, beside a score."""
    return MARGIN * abs(score) if is_error(metric) else MARGIN
