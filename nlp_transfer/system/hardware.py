"""The hardware of this machine: what it computes with, how fast, and how torch is set up for it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from nlp_transfer.errors import OptionError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_INSTRUCTIONS = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")


def precision(wanted: str = "auto") -> str:
    """`no`, `bf16` or `fp16`; `auto` is bf16 where the processor multiplies bf16 natively, else `no`."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "no"
    native = capabilities()
    return "bf16" if native.get("avx512_bf16") or native.get("amx_bf16") else "no"


def capabilities() -> Mapping[str, Any]:
    """Torch's report of the processor: its name and instruction sets; empty in versions of torch without one."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def is_cpu_only() -> bool:
    """Whether there is no GPU or other accelerator. Accelerate must be told, else it forms no process group.

    Each process of a launcher would then train alone on every row, and overwrite the files of the others.
    """
    return not torch.accelerator.is_available()


def claim_device() -> None:
    """See to it that each process of this machine has a GPU to itself, where GPUs are used; OptionError if it has none.

    GPUs that Accelerate knows to be unable to speak to each other directly are told not to try, as `accelerate launch`
    does; a run without a launcher would stop there.
    """
    from accelerate.utils import check_cuda_p2p_ib_support, parse_flag_from_env  # not where only torch is needed

    if not torch.cuda.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU"):
        return
    processes, devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if processes > devices:
        raise OptionError(
            f"{processes} processes and {devices} GPU{'s' * (devices != 1)}, of which each process takes one; start "
            f"{devices}, or with CUDA_VISIBLE_DEVICES= set to nothing any number on the processors."
        )
    if not check_cuda_p2p_ib_support():
        os.environ.setdefault("NCCL_P2P_DISABLE", "1")
        os.environ.setdefault("NCCL_IB_DISABLE", "1")


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
            for _ in range(2):  # warm-up: kernels are chosen and memory is allocated
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
    torch itself counts cores that a container has no share of. Any other number is the user's, and stays; to have one
    thread under a launcher, bind the process to one core (`taskset -c 0 accelerate launch ...`).
    """
    import joblib  # with scikit-learn; looks at affinity and at the container's quota

    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = max(1, joblib.cpu_count(only_physical_cores=True) // processes)
    setting = os.environ.get("OMP_NUM_THREADS")
    launched = {"TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"} & {*os.environ}
    if (setting == "1" and launched) or (setting is None and torch.get_num_threads() > cores):
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


@dataclass(frozen=True)
class Machine:
    """Description of a machine, for a reader who judges a number measured on it.

    `instructions` are those that matter to matrix products; `load` is the mean of the last minute, None where the
    system does not report it.

    >>> print(Machine.here())
    """

    processor: str
    cores: int
    threads: int
    instructions: tuple[str, ...]
    gpu: str | None
    load: float | None
    versions: Mapping[str, str]

    @classmethod
    def here(cls) -> Machine:
        """This machine, now; `cores` are those that this process may use, `threads` those that torch does use."""
        known = capabilities()
        may_use = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return cls(
            processor=str(known.get("cpu_name") or platform.processor() or platform.machine()),
            cores=len(may_use),
            threads=torch.get_num_threads(),
            instructions=tuple(name for name in _INSTRUCTIONS if known.get(name)),
            gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            versions={"python": platform.python_version()}
            | {name: version(name) for name in ("torch", "transformers", "accelerate", "peft")},
        )

    def __str__(self) -> str:
        """One line: processor, cores, threads, instructions, GPU, load and versions."""
        parts = [
            self.processor,
            f"{self.cores} cores",
            f"{self.threads} threads",
            ", ".join(self.instructions) or "vector instructions unknown",
            self.gpu or "no GPU",
            "load unknown" if self.load is None else f"load {self.load:.2f}",
            ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        ]
        return "; ".join(parts)


def peak_memory() -> int | None:
    """Peak memory of this process so far, in bytes; None where the system does not report it."""
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss: on Linux a new process begins with that of the one that started it
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
    if sys.platform == "win32":
        return None
    import resource  # not there on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
