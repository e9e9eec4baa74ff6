"""Transfer learning on text: an encoder, a task head, a strategy, and whether the transfer paid.

The public names stand in `__init__.pyi`. Each is imported when it is first used, so that importing the package loads
no torch.
"""

import os
from typing import Any

import lazy_loader

from nlp_transfer.encoders.registration import register_when_transformers_loads
from nlp_transfer.system.old_paths import redirect_old_paths
from nlp_transfer.version import __version__ as __version__

# Read when the libraries below are first imported. What a user has set stays.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault(
    "HF_UPDATE_DOWNLOAD_COUNTS", "0"
)  # datasets would tell the hub of each loading, of local files too
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # transformers would ask a server of its own to convert

_import_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_when_transformers_loads()
redirect_old_paths()


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, the first time the name is asked for (PEP 562)."""
    if name in __all__:
        return _import_name(name)
    import difflib  # needed only where a name is wrong

    near = difflib.get_close_matches(name, __all__, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    # With its own `name`, Python adds no second suggestion to the traceback.
    raise AttributeError(f"module 'nlp_transfer' has no attribute '{name}'{hint}", name=name)
