"""Torch computes on the cores that are there, a machine is described as it is, and memory is that of one process."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import accelerate
import joblib
import pytest
import torch

import nlp_transfer as nt
from nlp_transfer.system import hardware
from nlp_transfer.system.hardware import Machine, peak_memory

LAUNCHED = {"ACCELERATE_MIXED_PRECISION": "no"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none"}


@pytest.mark.parametrize(
    ("environment", "before", "after"),
    [
        ({}, 2, 2),
        ({}, 64, 6),  # torch counts the cores of the machine, not those of the container
        ({"OMP_NUM_THREADS": "1"}, 1, 1),  # said by the user
        (LAUNCHED | {"OMP_NUM_THREADS": "1"}, 1, 6),  # said by `accelerate launch`
        (LAUNCHED | {"OMP_NUM_THREADS": "3"}, 3, 3),
        (TORCHRUN | {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}, 1, 3),
        (
            {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            1,
            1,
        ),  # of --processes: said by the user
        ({"LOCAL_RANK": "9", "LOCAL_WORLD_SIZE": "16"}, 6, 1),
    ],
)
def test_processes_share_the_cores_unless_the_user_said_otherwise(monkeypatch, environment, before, after):
    names = ("OMP_NUM_THREADS", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    threads = [before]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 6)
    hardware.use_cores()
    assert threads[-1] == after


@pytest.fixture
def gpus(monkeypatch):
    """`gpus(count, processes)` is a machine with so many GPUs, of which no two can speak to each other directly."""

    def there_are(count: int, processes: int, **more: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(accelerate.utils, "check_cuda_p2p_ib_support", lambda: count < 2)
        for name in ("NCCL_P2P_DISABLE", "NCCL_IB_DISABLE", "ACCELERATE_USE_CPU"):
            monkeypatch.setenv(name, "")  # so that what is set below is taken back
            monkeypatch.delenv(name)
        for name, value in ({"LOCAL_WORLD_SIZE": str(processes)} | more).items():
            monkeypatch.setenv(name, value)

    return there_are


def test_each_process_has_a_gpu_to_itself(gpus):
    gpus(1, processes=2)
    with pytest.raises(
        nt.OptionError, match="2 processes and 1 GPU, of which each process takes one; start 1, or with"
    ):
        hardware.claim_device()
    for machine in ((0, 2), (2, 2), (8, 1)):
        gpus(*machine)
        hardware.claim_device()
    gpus(1, processes=2, ACCELERATE_USE_CPU="true")
    hardware.claim_device()


def test_gpus_that_cannot_speak_to_each_other_are_told_not_to_try(gpus):
    gpus(1, processes=1)
    hardware.claim_device()
    assert "NCCL_P2P_DISABLE" not in os.environ
    gpus(2, processes=1, NCCL_IB_DISABLE="0")
    hardware.claim_device()
    assert (os.environ["NCCL_P2P_DISABLE"], os.environ["NCCL_IB_DISABLE"]) == ("1", "0")


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
