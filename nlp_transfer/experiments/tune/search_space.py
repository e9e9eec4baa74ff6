"""The search space of tuning: which settings a trial may have."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlp_transfer.config import TrainingOptions
from nlp_transfer.config.option_fields import Choice, Range
from nlp_transfer.config.parsing import flag_type
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies import STRATEGIES, Strategy, StrategyOptions, strategy_named
from nlp_transfer.strategies.strategy_registry import options_of, owners_of
from nlp_transfer.training.defaults import usual_rate

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


Space = dict[str, dict[str, Range | Choice]]
"""Strategy -> option -> what it may be."""

_SLOWER, _FASTER = 5, 4  # times than the strategy's own learning rate

_TRAINING = (
    "learning_rate", "num_train_epochs", "weight_decay", "warmup_ratio", "per_device_train_batch_size",
    "max_grad_norm", "lr_scheduler_type", "sampling",
)  # fmt: skip


def space_of(
    strategies: Sequence[str],
    searched: Sequence[str],
    given: StrategyOptions,
    training: TrainingOptions,
    width: int,
    depth: int,
    usual_epochs: int,
    rows: int,
) -> Space:
    """What trials may be, for an encoder of `depth` layers and a `width`, and `rows` that fine-tuning usually sees
    `usual_epochs` times.

    What the options say stays as they say, and is not searched. `searched` are NAME=LOW..HIGH or NAME=A,B,C, in place
    of the ranges from here. Raises OptionError for what is no option, belongs to no strategy, or is given twice.
    """
    fixed_options = given.given()
    own = dict(_parsed(text) for text in searched)
    for name in strategies:  # raises for one that is unknown, or lacks what it needs
        strategy_named(name, **_of(name, fixed_options) if name in STRATEGIES else {})
        if name not in STRATEGIES:
            raise OptionError(
                f"--strategies {name}: {name} is no candidate; list the strategies to try, such as full,lora."
            )
    _validate_options(strategies, own, fixed_options, training)
    space: Space = {}
    for name in strategies:
        kind, own_options = STRATEGIES[name], _of(name, fixed_options)
        ranges: dict[str, Range | Choice] = {}
        if kind.trains_by_steps:
            strategy = _usual_strategy(name, own_options, depth)
            rate = usual_rate(strategy, width, depth, training.defaults)
            ranges["learning_rate"] = Range(rate / _SLOWER, rate * _FASTER, log=True)
            if not training.max_train_steps:
                epochs = strategy.usual_epochs(usual_epochs, rows)
                ranges["num_train_epochs"] = Range(max(1, epochs // 2), 2 * epochs, whole=True)
        ranges |= kind.search_space(own_options, depth)
        shared = _TRAINING if kind.trains_by_steps else ()
        asked = {option: what for option, what in own.items() if option in {*options_of(name), *shared}}
        fixed = {*own_options, *(k for k in _TRAINING if getattr(training, k) is not None and k not in own)}
        space[name] = {option: what for option, what in (ranges | asked).items() if option not in fixed}
    return space


def suggested(trial: BaseTrial, space: Space) -> tuple[str, dict[str, Any]]:
    """A strategy, and options of it and of training, that Optuna chooses."""
    strategy = trial.suggest_categorical("strategy", list(space))
    return strategy, {name: what.suggest(trial, f"{strategy}.{name}") for name, what in space[strategy].items()}


def usual(
    space: Space,
    given: StrategyOptions,
    training: TrainingOptions,
    usual_epochs: int,
    rows: int,
    width: int,
    depth: int,
) -> list[dict[str, Any]]:
    """For each strategy the parameters of a trial that is a run with the defaults of all options.

    `training` has what the rule takes for those that are not given, and `usual_epochs` are those of fine-tuning.
    """
    parameters = []
    for name, options in space.items():
        own_options = _of(name, given.given())
        strategy = _usual_strategy(name, own_options, depth)
        epochs = strategy.usual_epochs(usual_epochs, rows)
        values = vars(training) | strategy.values(epochs)
        values |= {"learning_rate": usual_rate(strategy, width, depth, training.defaults), "num_train_epochs": epochs}
        known = {
            f"{name}.{option}": values.get(option) for option, what in options.items() if values.get(option) in what
        }
        parameters.append({"strategy": name} | known)
    return parameters


def _usual_strategy(name: str, given: Mapping[str, Any], depth: int) -> Strategy:
    """A strategy as it is unless searched; a number below the range that is searched is the lowest of the range.

    So `freeze`, whose search begins at one layer, has the learning rate of one layer, not that of a head alone.
    """
    defaults = strategy_named(name, **given).values(1)
    lowest = {
        option: int(what.low) if what.whole else what.low
        for option, what in STRATEGIES[name].search_space(given, depth).items()
        if isinstance(what, Range) and (defaults[option] or 0) < what.low
    }
    return strategy_named(name, **given, **lowest)


def _of(strategy: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the `options` that a strategy has."""
    return {name: value for name, value in options.items() if name in options_of(strategy)}


def _parsed(text: str) -> tuple[str, Range | Choice]:
    """NAME=LOW..HIGH or NAME=A,B,C, in the type that the option has."""
    name, _, values = text.partition("=")
    of_training = {option: typing.get_type_hints(TrainingOptions)[option] for option in _TRAINING}
    of_strategies = {field.name: field.type for field in dataclasses.fields(StrategyOptions)[1:]}
    hints = of_strategies | of_training
    if name not in hints or not values:
        near = [] if name in hints else difflib.get_close_matches(name, hints, n=1)
        hint = f"did you mean {near[0]}?" if near else f"of an option of a strategy, or one of {', '.join(_TRAINING)}."
        raise OptionError(f"--search {text}: takes NAME=LOW..HIGH or NAME=A,B,C; {hint}")
    kind = flag_type(hints[name])
    whole, is_number = kind is int, kind in (int, float)
    ends = values.split("..")
    try:
        if len(ends) == 2 and is_number:
            low, high = (float(int(end) if whole else float(end)) for end in ends)
            if not (math.isfinite(low) and low < high < math.inf):
                raise OptionError(f"--search {text}: the first number must be the smaller one.")
            return name, Range(low, high, log=low > 0 and high / low >= 10, whole=whole)
        parts = re.split(r"\s*,\s*", values)
        return name, Choice(tuple(int(p) if whole else float(p) if is_number else _as_bool(p) for p in parts))
    except ValueError as error:
        kind = "whole numbers" if whole else "numbers"
        raise OptionError(f"--search {text}: {name} takes {kind}, as in {name}=LOW..HIGH.") from error


def _as_bool(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


def _validate_options(
    strategies: Sequence[str], own: Mapping[str, Any], fixed: Mapping[str, Any], training: TrainingOptions
) -> None:
    for option in (*own, *fixed):
        owners = owners_of(option)
        if option not in _TRAINING and not set(owners) & set(strategies):
            raise OptionError(
                f"--{option} applies to --strategy {' and '.join(owners)} only, not among --strategies; leave it out."
            )
    usual = TrainingOptions()
    for option in own:
        if option in fixed or getattr(training, option, None) != getattr(usual, option, None):
            raise OptionError(f"--{option} is fixed and searched; remove --{option} or --search {option}=....")
