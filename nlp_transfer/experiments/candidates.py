"""The candidates of experiments: strategies with their options on encoders."""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nlp_transfer.config.option_fields import option_of
from nlp_transfer.config.parsing import flag_type
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies import STRATEGIES, Strategy, StrategyOptions, strategy_named
from nlp_transfer.strategies.strategy_registry import options_of

BASELINES = "baselines"
"""The name of the candidate that is all baselines of the task, which are fitted together."""


@dataclass(frozen=True)
class Candidate:
    """A strategy with its options on an encoder; `name` is what tables call it."""

    name: str
    encoder: str
    strategy: str
    options: tuple[tuple[str, Any], ...] = ()
    kind: type[Strategy] | None = field(default=None, compare=False, repr=False)
    """The class of the strategy: a process that has not registered it still gets it, by pickle."""

    @property
    def is_baseline(self) -> bool:
        """Whether it needs no pretrained weights: baselines, and the same network from random ones."""
        return self.strategy == BASELINES or (self.kind or STRATEGIES[self.strategy]).is_baseline

    @property
    def key(self) -> str:
        """A name for a folder; another strategy, option or encoder has another one, whatever else is compared."""
        text = json.dumps([self.encoder, self.strategy, self.options])
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        return f"{self.strategy}-{digest}"

    def make(self) -> Strategy:
        """The strategy, ready for one training."""
        return self.kind(**dict(self.options)) if self.kind else strategy_named(self.strategy, **dict(self.options))

    def flags(self) -> list[str]:
        """The flags with which a training recipe trains it."""
        flags = [] if self.encoder == "all-MiniLM-L6-v2" else ["--model_name_or_path", self.encoder]
        flags += ["--strategy", self.strategy]
        for name, value in self.options:
            values = value if isinstance(value, list | tuple) else [value]
            flags += [f"--{name}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in values)]
        return flags


def candidates_from(
    strategies: Sequence[str], encoders: Sequence[str], options: StrategyOptions | None = None
) -> list[Candidate]:
    """Each strategy on each encoder, those that are baselines (`scratch`) and the baselines of the task beside them.

    Options of strategies go to those that have them. OptionError for an unknown strategy, an option or a variant that
    makes no sense, an option that none of the strategies has, `scratch` alone, and what is named twice.
    """
    options = options or StrategyOptions()
    if options.strategy != StrategyOptions().strategy:
        raise OptionError(f"--strategy {options.strategy}: here --strategies names all that are compared.")
    given = options.given()
    beside = [name for name, kind in STRATEGIES.items() if kind.is_baseline]
    parsed = [_parsed(text, given) for text in (*strategies, *(name for name in beside if name not in strategies))]
    if set(strategies) <= set(beside):
        names = " ".join(strategies)
        raise OptionError(f"--strategies {names} is always included as a baseline; add another strategy.")
    for option in given:
        if not any(option in own for _, _, own in parsed):
            raise OptionError(f"--{option} does not apply to any of {', '.join(strategies)}; leave it out.")
    _refuse_twins([Candidate(text, "", name, tuple(own.items())) for text, name, own in parsed], encoders)
    shown = [f" on {encoder}" if len(encoders) > 1 else "" for encoder in _short(encoders)]
    networks = [
        Candidate(f"{text}{on}", encoder, name, tuple(own.items()), STRATEGIES[name])
        for encoder, on in zip(encoders, shown, strict=True)
        for text, name, own in parsed
    ]
    return [*networks, Candidate(BASELINES, "", BASELINES)]


def _refuse_twins(candidates: Sequence[Candidate], encoders: Sequence[str]) -> None:
    """OptionError where two of them are one, which would train twice, and into one folder."""
    for place, candidate in enumerate(candidates):
        for other in candidates[:place]:
            if candidate.make() == other.make():
                both = f"{other.name} and {candidate.name}"
                raise OptionError(f"--strategies {both} are the same with the options given; leave one out.")
    named = [encoder.rstrip("/") for encoder in encoders]
    for encoder in named:
        if named.count(encoder) > 1:
            raise OptionError(f"--encoders {encoder} is named twice; leave one out.")


def _parsed(text: str, given: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The text of a strategy, its name, and its options."""
    name, colon, variant = text.partition(":")
    if name not in STRATEGIES:
        strategy_named(name)  # raises, but for auto
        raise OptionError(f"--strategies {text}: {name} is no candidate; list the strategies, such as full,lora.")
    fields = options_of(name)
    options = {option: value for option, value in given.items() if option in fields}
    if colon:
        option = next((option for option, field in fields.items() if option_of(field).short), None)
        if option is None:
            raise OptionError(f"--strategies {text}: {name} has no variants; write {name}.")
        kind = flag_type(typing.get_type_hints(STRATEGIES[name])[option])
        try:
            options[option] = kind(variant)
        except ValueError as error:
            a = "a whole number" if kind is int else "a number"
            raise OptionError(f"--strategies {text}: --{option} takes {a}; got {variant!r}.") from error
    strategy_named(name, **options)  # raises what its options may not be
    return text, name, options


def _short(encoders: Sequence[str]) -> list[str]:
    """As many last parts of their names as tell them apart: of a folder the whole path is nothing to publish."""
    parts = [encoder.strip("/").split("/") for encoder in encoders]
    names = []
    for own in parts:
        others = [other for other in parts if other != own]
        some = next((n for n in range(1, len(own)) if all(o[-n:] != own[-n:] for o in others)), len(own))
        names.append("/".join(own[-some:]))
    return names
