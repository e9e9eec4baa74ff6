"""What can this machine's processor do, and how is it asked to do it fast?"""

from __future__ import annotations

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def precision(wanted: str = "auto") -> str:
    """`no`, `bf16` or `fp16`; `auto` is bf16 where the processor multiplies bf16 natively, else `no`."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "no"
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "no"


def keep_freed_memory() -> None:
    """Tell glibc to keep large blocks that were freed, instead of fetching fresh pages for every gradient.

    Each step frees and asks again for the gradient of the word embeddings (tens of MB); by default glibc gives such
    blocks back to the kernel, which then zeroes new pages on every step. Does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
