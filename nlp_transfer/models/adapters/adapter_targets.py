"""The modules of a network that are adapted, and those that are trained in full beside them."""

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
    """The names, in the network, of the encoder's modules of some classes, in the layers from `from_layer` up.

    With `from_layer` 0 modules outside of the layers (ELECTRA's projection, a pooler) are included.
    """
    above = {id(part) for module in encoder.above(from_layer) for part in module.modules()}
    prefix = encoder.network.base_model_prefix
    return [
        f"{prefix}.{name}"
        for name, module in encoder.base.named_modules()
        if isinstance(module, kinds) and (not from_layer or id(module) in above)
    ]


def modules_to_save(encoder: Encoder, new: Iterable[str]) -> list[str]:
    """The names of modules that are trained and saved in full: all outside the encoder, and the new ones in it.

    `new` names the weights that the checkpoint did not have. PEFT's own lists lack ModernBERT's `head`, DeBERTa's
    `pooler` and new poolers, which would then be random again after loading.
    """
    network = encoder.network
    outside = [
        name
        for name, child in network.named_children()
        if child is not encoder.base and any(True for _ in child.parameters())
    ]
    inside = {name.rpartition(".")[0] for name in new if name.startswith(f"{network.base_model_prefix}.")}
    return [*outside, *sorted(inside)]


def matching_modules(patterns: Sequence[str], names: Sequence[str], source: str) -> list[str]:
    """The module names that one of `patterns` matches: a full name, its end after a dot, or with `*` in it.

    Raises OptionError, which begins with `source` (a flag, a file), if one of the patterns matches nothing.
    """
    return _matched(
        patterns, names, source, lambda pattern, name: fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")
    )


def require_matches(targets: str | Iterable[str], names: Sequence[str], source: str) -> None:
    """Raise OptionError unless all of a PEFT config's `target_modules` match, as PEFT reads them."""
    if isinstance(targets, str):
        try:
            _matched([targets], names, source, lambda pattern, name: bool(re.fullmatch(pattern, name)))
        except re.error as error:
            raise OptionError(f"{source}: '{targets}' is not a regular expression ({error}); correct it.") from error
    else:
        _matched(sorted(targets), names, source, lambda pattern, name: name == pattern or name.endswith(f".{pattern}"))


def _matched(
    patterns: Sequence[str], names: Sequence[str], source: str, matches: Callable[[str, str], bool]
) -> list[str]:
    unmatched = [pattern for pattern in patterns if not any(matches(pattern, name) for name in names)]
    if unmatched:
        ends = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
        which = ", ".join(unmatched) + (f" of {', '.join(patterns)}" if len(unmatched) < len(patterns) else "")
        match = "matches" if len(unmatched) == 1 else "match"
        raise OptionError(f"{source}: {which} {match} no module that can be adapted; those end in {ends}.")
    return [name for name in names if any(matches(pattern, name) for pattern in patterns)]
