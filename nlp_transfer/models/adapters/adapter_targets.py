"""On which modules do adapters stand, and which modules train whole beside them?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.errors import OptionError


def modules_inside(
    encoder: Encoder, kinds: type[nn.Module] | tuple[type[nn.Module], ...], from_layer: int = 0
) -> list[str]:
    """The names, in the network, of the encoder's modules of some kinds; those of the layers from `from_layer` up.

    With `from_layer` 0 those under and above the layers are with them (ELECTRA's projection, a pooler).
    """
    live = {id(part) for module in encoder.above(from_layer) for part in module.modules()}
    prefix = encoder.network.base_model_prefix
    return [
        f"{prefix}.{name}"
        for name, module in encoder.base.named_modules()
        if isinstance(module, kinds) and (not from_layer or id(module) in live)
    ]


def trained_whole(encoder: Encoder, new: Iterable[str]) -> list[str]:
    """The names of what is not adapted but trained and saved as it is: all outside the encoder, and what is new in it.

    `new` names the weights that the checkpoint did not have. PEFT's own lists leave out ModernBERT's `head`, DeBERTa's
    `pooler` and poolers that were made up, which would then be random again after loading.
    """
    network = encoder.network
    outside = [
        name
        for name, child in network.named_children()
        if child is not encoder.base and any(True for _ in child.parameters())
    ]
    inside = {name.rpartition(".")[0] for name in new if name.startswith(f"{network.base_model_prefix}.")}
    return [*outside, *sorted(inside)]


def named(patterns: Sequence[str], among: Sequence[str], said: str) -> list[str]:
    """Those of the names `among` that one of `patterns` matches: a whole name, its end after a dot, or with `*` in it.

    Raises OptionError if one of the patterns, which `said` (a flag, a file) holds, matches nothing.
    """
    return _matched(
        patterns, among, said, lambda pattern, name: fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")
    )


def require_matches(targets: str | Iterable[str], among: Sequence[str], said: str) -> None:
    """Raise OptionError unless all of a PEFT config's `target_modules` match, as PEFT reads them."""
    if isinstance(targets, str):
        try:
            _matched([targets], among, said, lambda pattern, name: bool(re.fullmatch(pattern, name)))
        except re.error as error:
            raise OptionError(f"{said}: '{targets}' is no regular expression ({error}).") from error
    else:
        _matched(sorted(targets), among, said, lambda pattern, name: name == pattern or name.endswith(f".{pattern}"))


def _matched(
    patterns: Sequence[str], among: Sequence[str], said: str, matches: Callable[[str, str], bool]
) -> list[str]:
    idle = [pattern for pattern in patterns if not any(matches(pattern, name) for name in among)]
    if idle:
        ends = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in among))
        which = f"{', '.join(idle)} of {', '.join(patterns)}" if len(idle) < len(patterns) else ", ".join(idle)
        match = "matches" if len(idle) == 1 else "match"
        raise OptionError(f"{said}: {which} {match} no module that can be adapted; those end in {ends}.")
    return [name for name in among if any(matches(pattern, name) for pattern in patterns)]
