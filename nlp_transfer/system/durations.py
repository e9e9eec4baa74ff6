"""Durations in words."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """A duration in the unit that suits it.

    >>> in_words(0.42), in_words(42), in_words(420), in_words(4000)
    ('0.4 s', '42 s', '7 min', '1 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"
