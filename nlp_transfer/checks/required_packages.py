"""Are the packages there that the checks need?"""

from __future__ import annotations

import importlib.util

from nlp_transfer.config import CheckOptions
from nlp_transfer.errors import OptionError


def require_packages(options: CheckOptions) -> None:
    """Raise OptionError where a package of the extra `check` is missing, before anything is read."""
    needed = ["datasketch"] if options.near_duplicates else []
    needed += ["cleanlab"] if options.label_errors else []
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(
            f"checking data needs {' and '.join(missing)}, not installed here; install with: "
            'pip install "nlp-transfer[check]"'
        )
