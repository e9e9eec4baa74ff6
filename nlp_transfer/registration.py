"""Makes `AutoModelForSequenceClassification` know our networks, without loading torch before it is needed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO_CLASSES = "transformers.models.auto"


def register_when_transformers_loads() -> None:
    """Register now if the Auto classes are there already, else as soon as somebody imports them."""
    if _AUTO_CLASSES in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterAutoClasses())


class _AfterAutoClasses(MetaPathFinder):
    """Finds one module as everybody else would, and registers our networks once it has been executed."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != _AUTO_CLASSES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def _register() -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification  # loads torch: only when asked for

    from nlp_transfer.heads.pooling import PooledClassifier, PooledConfig

    AutoConfig.register(PooledConfig.model_type, PooledConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(PooledConfig, PooledClassifier, exist_ok=True)
