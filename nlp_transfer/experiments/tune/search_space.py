"""Which settings may a trial have?"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_transfer.config import StrategyOptions, TrainingOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies import STRATEGIES, strategy_named
from nlp_transfer.strategies.head_then_full import usual_head_epochs

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: as many between 1 and 10 as between 10 and 100."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: BaseTrial, name: str) -> float:
        """A number that Optuna chooses, with three digits, which is all that one can tell apart."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.3g}")

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """A value that Optuna chooses."""
        return trial.suggest_categorical(name, self.values)

    def __contains__(self, value: Any) -> bool:
        return value in self.values


Space = dict[str, dict[str, Range | Choice]]
"""Strategy -> option -> what it may be."""

_WITHOUT_STEPS = ("features",)
_SLOWER, _FASTER = 5, 4  # times than the strategy's own rate

_OF_STRATEGIES: dict[str, dict[str, Range | Choice]] = {
    "full": {"layer_lr_decay": Range(0.8, 1.0)},
    "gradual": {"layer_lr_decay": Range(0.8, 1.0), "unfreeze_epochs": Range(1, 4, whole=True)},
    "head_then_full": {"head_epochs": Range(1, 15, whole=True)},
    "l2sp": {"l2sp_alpha": Range(0.003, 0.3, log=True)},
    "lora": {"lora_r": Choice((4, 8, 16, 32))},
    "replay": {"source_weight": Range(0.1, 2.0, log=True)},
    "features": {"classifier": Choice(("logistic", "linear_svm"))},
}  # of freeze: as many layers as the encoder has

_TRAINING = (
    "learning_rate", "num_train_epochs", "weight_decay", "warmup_ratio", "per_device_train_batch_size",
    "max_grad_norm", "lr_scheduler_type", "sampling",
)  # fmt: skip


def space_of(
    strategies: Sequence[str],
    searched: Sequence[str],
    given: StrategyOptions,
    training: TrainingOptions,
    depth: int,
    usual_epochs: int,
) -> Space:
    """What trials may be, for an encoder of `depth` layers and rows that are usually seen `usual_epochs` times.

    What the options say stays as they say, and is not searched. `searched` are NAME=LOW..HIGH or NAME=A,B,C, in place
    of the ranges from here. Raises OptionError for what is no option, belongs to no strategy, or is said twice.
    """
    said = _said(given)
    own = dict(_parsed(text) for text in searched)
    for name in strategies:  # raises for one that is unknown, or lacks what it needs
        strategy_named(name, **{o: v for o, v in said.items() if name in STRATEGIES and o in _options_of(name)})
        if name not in STRATEGIES:
            raise OptionError(
                f"--strategies {name}: it chooses one of those that are tried here; name them themselves."
            )
    _validate_options(strategies, own, said, training)
    space: Space = {}
    for name in strategies:
        mine = {option: value for option, value in said.items() if option in _options_of(name)}
        found: dict[str, Range | Choice] = {}
        if name not in _WITHOUT_STEPS:
            rate = usual_rate(name, mine)
            found["learning_rate"] = Range(rate / _SLOWER, rate * _FASTER, log=True)
            if not training.max_train_steps:
                found["num_train_epochs"] = Range(max(1, usual_epochs // 2), 2 * usual_epochs, whole=True)
        if name == "freeze":
            found["trainable_layers"] = Range(1, depth, whole=True)
        if "peft_config" not in mine:  # which says all of them
            found |= _OF_STRATEGIES.get(name, {})
        shared = () if name in _WITHOUT_STEPS else _TRAINING
        asked = {option: what for option, what in own.items() if option in {*_options_of(name), *shared}}
        fixed = {*mine, *(k for k in _TRAINING if getattr(training, k) is not None and k not in own)}
        space[name] = {option: what for option, what in (found | asked).items() if option not in fixed}
    return space


def suggested(trial: BaseTrial, space: Space) -> tuple[str, dict[str, Any]]:
    """A strategy, and options of it and of training, that Optuna chooses."""
    strategy = trial.suggest_categorical("strategy", list(space))
    return strategy, {name: what.suggest(trial, f"{strategy}.{name}") for name, what in space[strategy].items()}


def usual(space: Space, given: StrategyOptions, usual_epochs: int) -> list[dict[str, Any]]:
    """For each strategy what a run of so many epochs would take that is told nothing, as the parameters of a trial."""
    found = []
    for name, options in space.items():
        mine = {option: value for option, value in _said(given).items() if option in _options_of(name)}
        values = vars(TrainingOptions()) | vars(strategy_named(name, **mine, **_at_least_one_layer(name, mine)))
        values |= {"learning_rate": usual_rate(name, mine), "num_train_epochs": usual_epochs}
        values |= {"head_epochs": usual_head_epochs(usual_epochs)}
        known = {
            f"{name}.{option}": values.get(option) for option, what in options.items() if values.get(option) in what
        }
        found.append({"strategy": name} | known)
    return found


def usual_rate(strategy: str, given: Mapping[str, Any]) -> float:
    """The learning rate that a strategy has with the options `given`, unless it is told."""
    return strategy_named(strategy, **given, **_at_least_one_layer(strategy, given)).default_learning_rate


def _at_least_one_layer(strategy: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """freeze searches how many layers train, and has another rate for none."""
    return {"trainable_layers": 1} if strategy == "freeze" and "trainable_layers" not in given else {}


def _said(given: StrategyOptions) -> dict[str, Any]:
    return {name: value for name, value in vars(given).items() if name != "strategy" and value is not None}


def _options_of(strategy: str) -> set[str]:
    return {field.name for field in dataclasses.fields(STRATEGIES[strategy])}


def _parsed(text: str) -> tuple[str, Range | Choice]:
    """NAME=LOW..HIGH or NAME=A,B,C, in the type that the option has."""
    name, _, values = text.partition("=")
    types = {f.name: str(f.type) for kind in (TrainingOptions, StrategyOptions) for f in dataclasses.fields(kind)}
    strategic = {option for strategy in STRATEGIES for option in _options_of(strategy)}
    if name not in {*_TRAINING, *strategic} or not values:
        raise OptionError(
            f"--search {text}: say NAME=LOW..HIGH or NAME=A,B,C of an option of a strategy, or one of "
            f"{', '.join(_TRAINING)}."
        )
    whole, is_number = "int" in types[name], "int" in types[name] or "float" in types[name]
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
    strategies: Sequence[str], own: Mapping[str, Any], said: Mapping[str, Any], training: TrainingOptions
) -> None:
    for option in (*own, *said):
        owners = [name for name in STRATEGIES if option in _options_of(name)]
        if option not in _TRAINING and not set(owners) & set(strategies):
            raise OptionError(
                f"--{option} is of --strategy {' and '.join(owners)}, none of which --strategies names; leave it out."
            )
    usual = TrainingOptions()
    for option in own:
        if option in said or getattr(training, option, None) != getattr(usual, option, None):
            raise OptionError(f"--{option} and --search {option}=... both say what it is; give one of them.")
