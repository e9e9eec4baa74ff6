"""Whether this processor multiplies int8 natively."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

_FLAGS = {"avx512_vnni", "avx_vnni", "avx512vnni", "amx_int8", "asimddp", "i8mm"}


@cache
def has_int8_products() -> bool:
    """Whether it has instructions for products of int8 (VNNI, AMX, or those of ARM); False where that is unknown."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return True
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return bool(flags and _FLAGS & set(flags[1].split()))
