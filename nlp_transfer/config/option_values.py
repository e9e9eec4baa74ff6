"""Which values may an option have? What the dataclasses of options share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nlp_transfer.errors import OptionError

PROBLEMS = ("single_label", "multi_label", "regression")
"""One label for a text, any number of labels for a text, a number for a text."""

PRECISIONS = ("auto", "no", "bf16", "fp16")
"""What a network can be told to compute in; `no` is what its weights are, fp32."""


def require_given(options: Any, name: str) -> None:
    """Raise OptionError unless the option has a value."""
    if not getattr(options, name):
        raise OptionError(f"--{name} is missing; see --help for all options.")


def require(options: Any, name: str, holds: Callable[[Any], bool], what: str) -> None:
    """Raise OptionError for a value that is there and does not hold; `what` it must be, in words."""
    value = getattr(options, name)
    if value is not None and not holds(value):
        raise OptionError(f"--{name} must be {what}; given was {value}.")
