"""What can this machine's processor do, and how is it asked to do it fast?"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def precision(wanted: str = "auto") -> str:
    """`no`, `bf16` or `fp16`; `auto` is bf16 where the processor multiplies bf16 natively, else `no`."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "no"
    native = capabilities()
    return "bf16" if native.get("avx512_bf16") or native.get("amx_bf16") else "no"


def capabilities() -> Mapping[str, Any]:
    """What torch knows of the processor: its name, whether it has an instruction set; empty where it does not tell."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def is_cpu_only() -> bool:
    """Whether there is no GPU or the like. Accelerate must be told, else processes of a launcher do not meet.

    Each would take itself for the only one, train on every row, and write over the others' files.
    """
    return not torch.accelerator.is_available()


def gemm_peak(precision: str = "no", sizes: Sequence[int] | None = None, repeats: int = 5) -> float:
    """FLOP/s of the fastest product of square matrices here: 2 n^3 over the shortest of `repeats`, the best of `sizes`.

    It is measured on the GPU where there is one. `precision` is named as `precision()` names it.
    """
    dtype = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    best = 0.0
    for size in sizes or ((512, 1024, 2048) if device == "cpu" else (4096, 8192)):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        with torch.inference_mode():
            for _ in range(2):  # kernels are chosen, and memory is fetched
                F.linear(a, b)
            for _ in range(repeats):
                _wait(device)
                started = time.perf_counter()
                F.linear(a, b)
                _wait(device)
                best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def use_cores() -> None:
    """Let torch compute on the cores that this process may use, shared out among a launcher's processes.

    `accelerate launch` and `torchrun` set OMP_NUM_THREADS to 1 where the user has not set it, even for one process, and
    torch itself counts cores that a container has no share of. Any other number is the user's, and stays; who wants one
    thread under a launcher binds the process to one core (`taskset -c 0 accelerate launch ...`).
    """
    import joblib  # with scikit-learn; looks at affinity and at the container's quota

    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = max(1, joblib.cpu_count(only_physical_cores=True) // processes)
    told, launched = os.environ.get("OMP_NUM_THREADS"), {"LOCAL_RANK", "ACCELERATE_MIXED_PRECISION"} & {*os.environ}
    if (told == "1" and launched) or (told is None and torch.get_num_threads() > cores):
        torch.set_num_threads(cores)


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
