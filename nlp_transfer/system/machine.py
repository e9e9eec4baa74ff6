"""On which machine was something measured?"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from nlp_transfer.system import hardware

_INSTRUCTIONS = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Machine:
    """What a reader must know of a machine to judge a number measured on it.

    `instructions` are those that matter to matrix products; `load` is the mean of the last minute, None where the
    system does not tell.

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
        capabilities = hardware.capabilities()
        may_use = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return cls(
            processor=str(capabilities.get("cpu_name") or platform.processor() or platform.machine()),
            cores=len(may_use),
            threads=torch.get_num_threads(),
            instructions=tuple(name for name in _INSTRUCTIONS if capabilities.get(name)),
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
            ", ".join(self.instructions) or "no vector instructions known",
            self.gpu or "no GPU",
            "load not known" if self.load is None else f"load {self.load:.2f}",
            ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        ]
        return "; ".join(parts)


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held so far; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss: on Linux a new process begins with that of the one that started it
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
    if sys.platform == "win32":
        return None
    import resource  # not there on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
