"""How is a file written so that no one ever finds half of it?"""

from __future__ import annotations

import os
from pathlib import Path

_HIDDEN = ".incomplete-"


def write_whole(path: Path, text: str) -> None:
    """Write a file that has its name when it is whole; where it cannot be, what stood there stays. Raises OSError."""
    hidden = path.with_name(f"{_HIDDEN}{path.name}")
    try:
        # The name of a file need not be UTF-8: such bytes are written as \udc.. .
        hidden.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(hidden, path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
