"""Registry of strategies: how they are added, and found by their names."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, TypeVar

from nlp_transfer.errors import OptionError
from nlp_transfer.strategies.auto import Auto
from nlp_transfer.strategies.strategy import Strategy
from nlp_transfer.strategies.strategy_options import StrategyOptions, declare_options_of

STRATEGIES: dict[str, type[Strategy]] = {}
"""All strategies by their names, in the order in which they were registered."""

S = TypeVar("S", bound=type[Strategy])


def register_strategy(kind: S) -> S:
    """Make a strategy known by its name to recipes, YAML files, `strategy_named`, `compare` and `tune`.

    It is a dataclass, and its fields are its options. Raises OptionError for a name or an option that is taken.

    >>> @nt.register_strategy
    ... @dataclass
    ... class TopLayer(nt.Strategy):
    ...     '''The head and the top layer train.'''
    ...     name: ClassVar[str] = "top_layer"
    ...     def stages(self, encoder, epochs, learning_rate):
    ...         return [Stage(encoder.depth - 1, epochs, learning_rate)]
    """
    name = getattr(kind, "name", "")
    known = STRATEGIES.get(name)
    if not name:
        raise OptionError(f"{kind.__name__} has no name; set `name: ClassVar[str]`.")
    if name == Auto.name or (known and known.__qualname__ != kind.__qualname__):
        owner = known or Auto
        raise OptionError(f"{kind.__name__}: the name {name!r} is that of {owner.__name__}; choose another one.")
    declare_options_of(STRATEGIES | {name: kind}, Auto.name)
    STRATEGIES[name] = kind
    return kind


def strategy_from(options: StrategyOptions) -> Strategy:
    """The strategy that a recipe's options name. OptionError for an unknown one, or an option of another one.

    For `auto` it is `Auto`, which `resolve_strategy` replaces by another one.
    """
    return strategy_named(options.strategy, **options.given())


def strategy_named(name: str, **options: Any) -> Strategy:
    """A strategy by its name, with its own options.

    >>> strategy_named("freeze", trainable_layers=2)
    Freeze(trainable_layers=2)
    """
    if name == Auto.name:
        if options:
            given = next(iter(options))
            whose = f"an option of --strategy {' and '.join(owners_of(given))}" if owners_of(given) else "no option"
            raise OptionError(f"--{given} is {whose}; name the strategy: auto, the default, chooses one by itself.")
        return Auto()
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(STRATEGIES)}, auto."
        raise OptionError(f"--strategy {name} is unknown{hint}")
    takes = options_of(name)
    for option in options:
        if option not in takes:
            owners = owners_of(option)
            has = f"; its options are {', '.join(f'--{o}' for o in takes)}" if takes else ", which has none of its own"
            whose = f"an option of --strategy {' and '.join(owners)}, not of {name}" if owners else "no option"
            raise OptionError(f"--{option} is {whose}{has if owners else f' of --strategy {name}{has}'}.")
    return STRATEGIES[name](**options)


def options_of(name: str) -> dict[str, dataclasses.Field[Any]]:
    """The fields that are a strategy's options, by their names."""
    return {field.name: field for field in dataclasses.fields(STRATEGIES[name]) if field.init}


def owners_of(option: str) -> list[str]:
    """The strategies that have an option."""
    return [name for name in STRATEGIES if option in options_of(name)]
