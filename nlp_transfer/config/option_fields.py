"""Declaration of an option in its dataclass field: default, help, range, and what `tune` searches."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING, Any

from nlp_transfer.errors import OptionError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

PROBLEMS = ("single_label", "multi_label", "regression")
"""One label for a text, any number of labels for a text, a number for a text."""

QUOTINGS = ("csv", "none")
"""Quotes around a field hold what is in it together, as RFC 4180 says; or they are characters as others are."""

PRECISIONS = ("auto", "no", "bf16", "fp16")
"""What a network can compute in; `no` is the precision of its weights, fp32."""


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


Searched = Range | Choice | Callable[[int], Range | Choice]
"""What `tune` may try of an option; a function is called with the number of layers of the encoder."""


@dataclass(frozen=True)
class Option:
    """What is declared of an option beside its name, type and default."""

    help: str = ""
    default_text: str | None = None
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: Sequence[str] = ()
    search: Searched | None = None
    short: bool = False
    const: Any = None
    most_used: int | None = None
    null_implies: Mapping[str, Any] = field(default_factory=dict)
    remembered: bool | Callable[[Any], Any] = False

    @property
    def range_text(self) -> str:
        """Which values it takes, in words; empty where any."""
        if self.choices:
            return " or ".join(filter(None, (", ".join(self.choices[:-1]), self.choices[-1])))
        if self.at_least is not None and self.at_most is not None:
            return f"from {_shown(self.at_least)} to {_shown(self.at_most)}"
        bounds = (
            ("more than {}", self.above), ("{} or more", self.at_least), ("at most {}", self.at_most),
            ("less than {}", self.below),
        )  # fmt: skip
        return " and ".join(text.format(_shown(bound)) for text, bound in bounds if bound is not None)

    def takes(self, value: Any) -> bool:
        """Whether a value lies in the declared range; NaN never does."""
        if self.choices:
            return value in self.choices
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def option(
    default: Any = MISSING,
    *,
    help: str,
    default_factory: Any = MISSING,
    default_text: str | None = None,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: Sequence[str] = (),
    search: Searched | Sequence[Any] | None = None,
    short: bool = False,
    const: Any = None,
    most_used: int | None = None,
    null_implies: Mapping[str, Any] | None = None,
    remembered: bool | Callable[[Any], Any] = False,
) -> Any:
    """The field of an option, for a dataclass of options or a strategy.

    >>> lora_r: int = option(8, help="Rank of the adapters.", above=0, search=(4, 8, 16, 32), short=True)

    Args:
        default: its value unless given; `default_factory` makes that of a list.
        help: what it does, in a sentence that repeats neither default nor choices: `--help` prints these by itself.
        default_text: what `--help` prints as the default, where None stands for what depends on something else.
        above, at_least, at_most, below: the numbers it may be.
        choices: the values it may be.
        search: what `tune` tries, a `Range` or some values, or a function from the encoder's number of layers to one.
        short: whether it is the option behind the colon of `compare --strategies lora:16`.
        const: its value where the flag stands alone.
        most_used: its place in the group of options that `--help` starts with.
        null_implies: values of other options where a YAML file says null for it and does not name them.
        remembered: whether rows that are read for the trained model later are read with it, where an option of the same
            name, whose default is None, is not given; a function makes of it what these take.
    """
    is_space = search is None or isinstance(search, Range | Choice) or callable(search)
    declared = Option(
        help, default_text, above, at_least, at_most, below, tuple(choices),
        search if is_space else Choice(tuple(search)),  # type: ignore[arg-type]
        short, const, most_used, null_implies or {}, remembered,
    )  # fmt: skip
    return dataclasses.field(  # type: ignore[call-overload]
        default=default, default_factory=default_factory, metadata={"help": help, "option": declared}
    )


def processes_option() -> Any:
    """The field of the option that says how many processes share the work of a recipe."""
    return option(
        1,
        help="Processes of this machine that share the work: one on each GPU, or of processors each with its share.",
        above=0,
    )


def delimiter_option(*, remembered: bool = False) -> Any:
    """The field of the option that says what stands between the columns of a text file."""
    return option(
        None,
        help="What stands between columns: a character, or tab, comma, ...",
        default_text="inferred from the rows",
        remembered=remembered,
    )


def quoting_option(*, remembered: bool = False) -> Any:
    """The field of the option that says what quotes mean in a text file."""
    return option(
        None,
        choices=QUOTINGS,
        help="CSV and TSV: quotes hold a field together (csv), or belong to the text (none).",
        default_text="csv, and files whose quotes may be either are refused",
        remembered=remembered,
    )


def no_header_option(*, remembered: bool = False) -> Any:
    """The field of the option that says that a text file begins with a row."""
    return option(
        False, help="CSV and TSV: the first line is a row; columns are called 0, 1, 2.", remembered=remembered
    )


def option_of(field: dataclasses.Field[Any]) -> Option:
    """What `option` has declared in a field; of a plain field its help, if its metadata has one."""
    return field.metadata.get("option") or Option(help=field.metadata.get("help", ""))


def check_values(options: Any) -> None:
    """OptionError for the first option of a dataclass that lies outside of what its field declares. None is unset.

    Of a list each item is checked.
    """
    for one in dataclasses.fields(options):
        given, declared = getattr(options, one.name), option_of(one)
        for value in given if isinstance(given, list | tuple) else [given]:
            if value is not None and not declared.takes(value):
                near = difflib.get_close_matches(str(value), declared.choices, n=1)
                hint = f"; did you mean {near[0]}?" if near else "."
                raise OptionError(f"--{one.name} must be {declared.range_text}; got {_shown(value)}{hint}")


def require_given(options: Any, name: str) -> None:
    """Raise OptionError unless the option has a value."""
    if not getattr(options, name):
        raise OptionError(f"--{name} is missing; see --help for all options.")


def _shown(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
