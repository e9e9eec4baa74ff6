"""Makes the Auto classes of transformers know our networks, without loading torch before it is needed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# A module of transformers, and the modules of ours that register themselves in it. Ours wait for exactly the one they
# need: transformers imports its Auto classes while others of its modules, and maybe of ours, are but half loaded.
_FOLLOWERS = {
    "transformers.models.auto.configuration_auto": (
        "nlp_transfer.encoders.pooling.pooled_config",
        "nlp_transfer.encoders.sklearn_head.sklearn_config",
    ),
    "transformers.models.auto.modeling_auto": (
        "nlp_transfer.encoders.pooling.pooled_network",
        "nlp_transfer.encoders.sklearn_head.sklearn_network",
    ),
}


def register_when_transformers_loads() -> None:
    """Register now if the Auto classes are there already, else as soon as somebody imports them."""
    for module, followers in _FOLLOWERS.items():
        if module in sys.modules:
            _import(followers)
        else:
            sys.meta_path.insert(0, _After(module, followers))


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)


class _After:
    """Finds one module as everybody else would, and imports others once it has been executed."""

    def __init__(self, module: str, followers: tuple[str, ...]) -> None:
        self.module = module
        self.followers = followers

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_follow(module: ModuleType) -> None:
            execute(module)
            _import(self.followers)

        spec.loader.exec_module = execute_and_follow  # type: ignore[method-assign]
        return spec
