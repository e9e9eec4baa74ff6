"""Torch computes on the cores that are there, whatever a launcher or a container made it believe."""

from __future__ import annotations

import joblib
import pytest
import torch

from nlp_transfer.system import hardware

LAUNCHED = {"ACCELERATE_MIXED_PRECISION": "no"}


@pytest.mark.parametrize(
    ("environment", "before", "after"),
    [
        ({}, 2, 2),
        ({}, 64, 6),  # torch counts the cores of the machine, not those of the container
        ({"OMP_NUM_THREADS": "1"}, 1, 1),  # said by the user
        (LAUNCHED | {"OMP_NUM_THREADS": "1"}, 1, 6),  # said by `accelerate launch`
        (LAUNCHED | {"OMP_NUM_THREADS": "3"}, 3, 3),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}, 1, 3),
        ({"LOCAL_RANK": "9", "LOCAL_WORLD_SIZE": "16"}, 6, 1),
    ],
)
def test_processes_share_the_cores_unless_the_user_said_otherwise(monkeypatch, environment, before, after):
    for name in ("OMP_NUM_THREADS", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    threads = [before]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 6)
    hardware.use_cores()
    assert threads[-1] == after
