"""The strategy that `auto` has chosen for a run, with its reasons, and where the run's folder keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nlp_transfer.strategies import Strategy, strategy_named
from nlp_transfer.system.atomic_files import write_atomically

_FILE = Path("logs") / "strategy.json"  # in the folder of a run: what a run that was stopped leaves there stays


@dataclass(frozen=True)
class Choice:
    """A strategy, its options as a recipe names them, and why; `scores` are those of the trials, by candidate.

    `learning_rate` is the rate that won a trial, where it is not the strategy's usual one.
    """

    name: str
    options: Mapping[str, Any]
    reasons: tuple[str, ...]
    scores: Mapping[str, float]
    learning_rate: float | None = None

    @property
    def strategy(self) -> Strategy:
        """What `fit` takes, with that rate as its default."""
        strategy = strategy_named(self.name, **self.options)
        if self.learning_rate:
            strategy.default_learning_rate = self.learning_rate  # type: ignore[misc]
            strategy.rate_follows_encoder = False  # type: ignore[misc]
        return strategy


def write_choice(choice: Choice, folder: Path) -> None:
    """Keep a choice in the folder of a run, from where a run that resumes takes it."""
    path = folder / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(choice), indent=1) + "\n")


def read_choice(folder: Path) -> Choice | None:
    """What `write_choice` has kept in the folder of a run; None where nothing is there that can be read."""
    try:
        values = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = {field.name for field in fields(Choice)}
    is_complete = isinstance(values, dict) and names - {"learning_rate"} <= values.keys() <= names
    return Choice(**values) if is_complete else None
