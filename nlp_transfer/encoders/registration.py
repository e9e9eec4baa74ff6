"""Registration of our networks with the Auto classes of transformers, once those are imported."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_REGISTERING = {
    "transformers.models.auto.configuration_auto": (
        "nlp_transfer.encoders.pooling.pooled_config",
        "nlp_transfer.encoders.sklearn_head.sklearn_config",
    ),
    "transformers.models.auto.modeling_auto": (
        "nlp_transfer.encoders.pooling.pooled_network",
        "nlp_transfer.encoders.sklearn_head.sklearn_network",
    ),
}
"""Module with Auto classes -> our modules that register in it when they are imported.

Ours wait for exactly the module that they need: transformers imports its Auto classes while others of its modules, and
maybe of ours, are only half imported.
"""


def register_when_transformers_loads() -> None:
    """Register now if the Auto classes are imported already, else right after somebody imports them.

    So `import nlp_transfer` is enough for `AutoModel...from_pretrained` to open our models, and stays free of torch.
    There is no plainer way (transformers 5.24): it reads no entry points; `AutoConfig.register` and
    `AutoModel...register` take classes, not names of classes, and the network's needs torch; the tables of names
    (`CONFIG_MAPPING_NAMES`) lead to modules below `transformers.models` alone. To register in `import nlp_transfer`
    takes seconds, to register where our code first loads a model leaves a plain `pipeline(folder)` without it, and
    `auto_map` asks every reader for `trust_remote_code`.
    """
    for module, registering in _REGISTERING.items():
        if module in sys.modules:
            _import(registering)
        else:
            sys.meta_path.insert(0, _ImportAfter(module, registering))


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)


class _ImportAfter:
    """A finder that finds one module as the others would, once, and has further modules imported after it."""

    def __init__(self, module: str, then: tuple[str, ...]) -> None:
        self.module = module
        self.then = then

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_import(module: ModuleType) -> None:
            execute(module)
            _import(self.then)

        spec.loader.exec_module = execute_and_import  # type: ignore[method-assign]
        return spec
