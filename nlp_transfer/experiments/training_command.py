"""The command that trains the head of a task."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from nlp_transfer.heads import head_named


def training_command(task: str, flags: Sequence[str]) -> str | None:
    """The command that trains the head of a task with `flags`; None for a head of another package.

    Such a head may inherit `recipe` from one of this package, but the recipe would train that one.
    """
    head = head_named(task)
    if head.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return None
    return f"nlp-transfer {head.recipe} {shlex.join(flags)}"
