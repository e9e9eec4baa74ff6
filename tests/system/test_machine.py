"""The machine is told as it is, and memory is that of this process alone."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

from nlp_transfer.system import hardware
from nlp_transfer.system.machine import Machine, peak_memory


def test_a_line_tells_what_a_reader_must_know():
    machine = Machine.here()
    assert machine.threads == torch.get_num_threads()
    assert machine.cores >= 1
    assert "\n" not in str(machine)
    for part in (machine.processor, f"{machine.cores} cores", f"torch {torch.__version__}", *machine.instructions):
        assert part in str(machine)


def test_bf16_is_chosen_where_the_line_says_so():
    if not torch.cuda.is_available():
        told = {"avx512_bf16", "amx_bf16"} & set(Machine.here().instructions)
        assert (hardware.precision() == "bf16") == bool(told)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_not_that_of_the_parent():
    held = b"x" * 300_000_000
    source = "from __future__ import annotations\nimport sys\nfrom pathlib import Path\n" + inspect.getsource(
        peak_memory
    )
    run = subprocess.run([sys.executable, "-c", f"{source}\nprint(peak_memory())"], capture_output=True, text=True)
    assert int(run.stdout) < len(held) <= (peak_memory() or 0)


def test_the_peak_is_a_rate_that_a_product_reached():
    for precision in ("no", "bf16"):
        assert hardware.gemm_peak(precision, sizes=(64,), repeats=1) > 0
    # A larger product is no slower for each operation than a tiny one, which is mostly overhead.
    assert hardware.gemm_peak(sizes=(8, 512)) > hardware.gemm_peak(sizes=(8,))
