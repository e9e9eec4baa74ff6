"""Options of a recipe that say which strategy to take, and how: made from the fields of all strategies."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nlp_transfer.config.option_fields import Option, option, option_of
from nlp_transfer.config.parsing import flag_type, shown_default
from nlp_transfer.errors import OptionError

if TYPE_CHECKING:
    from nlp_transfer.strategies.strategy import Strategy


@dataclass(init=False, repr=False, eq=False)
class StrategyOptions:
    """What trains, in which order, towards what. Each option belongs to the strategies that it names.

    Its fields are `strategy` and, None where not given, each option of each strategy. `register_strategy` adds those
    of another strategy.

    >>> StrategyOptions(strategy="lora", lora_r=4).lora_r
    4
    """

    _argument_group_name: ClassVar[str] = "strategy"

    strategy: str = "auto"

    def __init__(self, strategy: str = "auto", **options: Any) -> None:
        self.strategy = strategy
        names = [field.name for field in dataclasses.fields(self)]
        if unknown := [name for name in options if name not in names]:
            raise OptionError(f"StrategyOptions has no option '{unknown[0]}'; it has {', '.join(names)}.")
        for name in names[1:]:
            setattr(self, name, options.get(name))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StrategyOptions) and vars(self) == vars(other)

    def __repr__(self) -> str:
        given = {"strategy": self.strategy} | self.given()
        return f"StrategyOptions({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def given(self) -> dict[str, Any]:
        """The options that have a value, but for `strategy`."""
        return {name: value for name, value in vars(self).items() if name != "strategy" and value is not None}


def declare_options_of(strategies: Mapping[str, type[Strategy]], *others: str) -> None:
    """Make the fields of `StrategyOptions` from those of all strategies; `others` are names beside theirs.

    Raises OptionError where two strategies have an option of one name and different types.
    """
    chosen = option(
        "auto",
        help="The strategy; auto: chosen by the rows, and by trials where they are few.",
        choices=(*strategies, *others),
        most_used=4,
    )
    owners: dict[str, list[tuple[str, dataclasses.Field[Any], Any]]] = {}
    for name, kind in strategies.items():
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.init:
                owners.setdefault(field.name, []).append((name, field, flag_type(hints[field.name])))
    made = dataclasses.make_dataclass(
        "StrategyOptions",
        [("strategy", str, chosen), *((name, *_shared_field(name, theirs)) for name, theirs in owners.items())],
    )
    # `fields`, `replace` and `asdict` read them from there, as does the parser of flags.
    StrategyOptions.__dataclass_fields__ = {field.name: field for field in dataclasses.fields(made)}


def _shared_field(name: str, owners: list[tuple[str, dataclasses.Field[Any], Any]]) -> tuple[Any, Any]:
    """Type and field of an option that one or several strategies have; it is None unless given."""
    first, field, of_type = owners[0]
    for other, _, theirs in owners[1:]:
        if theirs != of_type:
            raise OptionError(f"--{name} is an option of --strategy {first} already, of another type than in {other}.")
    texts = {strategy: _default_text(field) for strategy, field, _ in owners}
    default = texts[first] if len(set(texts.values())) == 1 else ", ".join(f"{s} {text}" for s, text in texts.items())
    declared = option_of(field)
    shown = Option(f"{', '.join(texts)}: {declared.help}", default or None, choices=declared.choices)
    return of_type | None, dataclasses.field(default=None, metadata={"help": shown.help, "option": shown})


def _default_text(field: dataclasses.Field[Any]) -> str:
    if text := option_of(field).default_text:
        return text
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return "" if default in (None, dataclasses.MISSING) else shown_default(default)
