"""Ways to transfer: each file is one strategy, and overrides one or two methods of `Strategy`."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from nlp_transfer.config import StrategyOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.auto import Auto
from nlp_transfer.strategies.features import Features
from nlp_transfer.strategies.freeze import Freeze
from nlp_transfer.strategies.full import Full
from nlp_transfer.strategies.gradual import Gradual
from nlp_transfer.strategies.head_then_full import HeadThenFull
from nlp_transfer.strategies.l2sp import L2SP
from nlp_transfer.strategies.lora import Lora
from nlp_transfer.strategies.replay import Replay
from nlp_transfer.strategies.scratch import Scratch
from nlp_transfer.strategies.strategy import Part, Stage, Strategy

STRATEGIES: dict[str, type[Strategy]] = {
    kind.name: kind for kind in (Full, Freeze, Features, Gradual, HeadThenFull, Lora, L2SP, Replay, Scratch)
}

__all__ = [
    "L2SP", "STRATEGIES", "Auto", "Features", "Freeze", "Full", "Gradual", "HeadThenFull", "Lora", "Part", "Replay",
    "Scratch", "Stage", "Strategy",
    "strategy_from", "strategy_named",
]  # fmt: skip


def strategy_from(options: StrategyOptions) -> Strategy:
    """The strategy that a recipe's options name. OptionError for an unknown one, or an option of another one.

    For `auto` it is `Auto`, which `resolve_strategy` replaces by another one.
    """
    given = {name: value for name, value in vars(options).items() if name != "strategy" and value is not None}
    return strategy_named(options.strategy, **given)


def strategy_named(name: str, **options: Any) -> Strategy:
    """A strategy by its name, with its own options.

    >>> strategy_named("freeze", trainable_layers=2)
    Freeze(trainable_layers=2)
    """
    if name == Auto.name:
        if options:
            raise OptionError(f"--{next(iter(options))} is of one strategy, and --strategy auto chooses; leave it out.")
        return Auto()
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(STRATEGIES)}, auto."
        raise OptionError(f"--strategy {name} is unknown{hint}")
    takes = _options_of(name)
    for option in options:
        if option not in takes:
            owners = [other for other in STRATEGIES if option in _options_of(other)]
            has = f"; its options are {', '.join(f'--{o}' for o in takes)}" if takes else ", which has none of its own"
            whose = f"an option of --strategy {' and '.join(owners)}, not of {name}" if owners else "no option"
            raise OptionError(f"--{option} is {whose}{has if owners else f' of --strategy {name}{has}'}.")
    return STRATEGIES[name](**options)


def _options_of(name: str) -> list[str]:
    return [field.name for field in dataclasses.fields(STRATEGIES[name])]
