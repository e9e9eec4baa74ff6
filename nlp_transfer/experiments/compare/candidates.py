"""Which ways to learn the task are compared?"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nlp_transfer.config import StrategyOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.strategies import STRATEGIES, Strategy, strategy_named

BASELINES = "baselines"
"""The name of the candidate that is all baselines of the task, which are fitted together."""

SCRATCH = "scratch"

_VARIANTS = {
    "full": "layer_lr_decay",
    "freeze": "trainable_layers",
    "features": "classifier",
    "gradual": "unfreeze_epochs",
    "head_then_full": "head_epochs",
    "lora": "lora_r",
    "l2sp": "l2sp_alpha",
    "replay": "source_weight",
}
"""The option that stands behind the colon of a strategy, as in freeze:2."""


@dataclass(frozen=True)
class Candidate:
    """A strategy with its options on an encoder; `name` is what tables call it."""

    name: str
    encoder: str
    strategy: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def is_baseline(self) -> bool:
        """Whether it needs no pretrained weights: baselines, and the same network from random ones."""
        return self.strategy in (BASELINES, SCRATCH)

    @property
    def key(self) -> str:
        """A name for a folder; another strategy, option or encoder has another one, whatever else is compared."""
        told = json.dumps([self.encoder, self.strategy, self.options])
        digest = hashlib.blake2b(told.encode(), digest_size=4).hexdigest()
        return f"{self.strategy}-{digest}"

    def make(self) -> Strategy:
        """The strategy, ready for one training."""
        return strategy_named(self.strategy, **dict(self.options))

    def flags(self) -> list[str]:
        """What the training recipes are told to train it."""
        told = [] if self.encoder == "all-MiniLM-L6-v2" else ["--model_name_or_path", self.encoder]
        told += ["--strategy", self.strategy]
        for name, value in self.options:
            values = value if isinstance(value, list | tuple) else [value]
            told += [f"--{name}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in values)]
        return told


def candidates_from(
    strategies: Sequence[str], encoders: Sequence[str], options: StrategyOptions | None = None
) -> list[Candidate]:
    """Each strategy on each encoder, `scratch` and the baselines beside them.

    Options of strategies go to those that have them. OptionError for an unknown strategy, an option or a variant that
    makes no sense, an option that none of the strategies has, `scratch` alone, and what is named twice.
    """
    options = options or StrategyOptions()
    if options.strategy != StrategyOptions().strategy:
        raise OptionError(f"--strategy {options.strategy}: here --strategies names all that are compared.")
    given = {name: value for name, value in vars(options).items() if name != "strategy" and value is not None}
    parsed = [_parsed(spelt, given) for spelt in (*strategies, *([] if SCRATCH in strategies else [SCRATCH]))]
    if set(strategies) == {SCRATCH}:
        raise OptionError(f"--strategies {SCRATCH} stands beside whatever is compared; name another one.")
    for option in given:
        if not any(option in told for _, _, told in parsed):
            raise OptionError(f"--{option} is an option of none of {', '.join(strategies)}; leave it out.")
    _refuse_twins([Candidate(spelt, "", name, tuple(told.items())) for spelt, name, told in parsed], encoders)
    shown = [f" on {encoder}" if len(encoders) > 1 else "" for encoder in _short(encoders)]
    networks = [
        Candidate(f"{spelt}{on}", encoder, name, tuple(told.items()))
        for encoder, on in zip(encoders, shown, strict=True)
        for spelt, name, told in parsed
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


def _parsed(spelt: str, given: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """A strategy as it is spelt, its name, and its options."""
    name, colon, variant = spelt.partition(":")
    if name not in STRATEGIES:
        strategy_named(name)  # raises, but for auto
        raise OptionError(f"--strategies {spelt}: {name} chooses one of those compared here; name them themselves.")
    types = {field.name: str(field.type) for field in dataclasses.fields(STRATEGIES[name])}
    told = {option: value for option, value in given.items() if option in types}
    if colon:
        if name not in _VARIANTS:
            raise OptionError(f"--strategies {spelt}: {name} has no variants; write {name}.")
        option = _VARIANTS[name]
        kind = {"int": int, "float": float, "str": str}[types[option].removesuffix(" | None")]
        try:
            told[option] = kind(variant)
        except ValueError as error:
            a = "a whole number" if kind is int else "a number"
            raise OptionError(f"--strategies {spelt}: --{option} takes {a}; given was {variant!r}.") from error
    strategy_named(name, **told)  # raises what its options may not be
    return spelt, name, told


def _short(encoders: Sequence[str]) -> list[str]:
    """As many last parts of their names as tell them apart: of a folder the whole path is nothing to publish."""
    parts = [encoder.strip("/").split("/") for encoder in encoders]
    found = []
    for mine in parts:
        others = [other for other in parts if other != mine]
        some = next((n for n in range(1, len(mine)) if all(o[-n:] != mine[-n:] for o in others)), len(mine))
        found.append("/".join(mine[-some:]))
    return found
