"""A recipe's threads give their cores away while they wait, unless the user has said how they are to wait."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlp_transfer.system import openmp

LIBGOMP = [*(Path(torch.__file__).parent / "lib").glob("libgomp*")]

SCRIPT = """
import nlp_transfer as nt


def main():
    import torch


nt.run_recipe(main)
"""


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in openmp._SET_BY_USERS} | more


@pytest.mark.skipif(not LIBGOMP, reason="this torch has another OpenMP")
@pytest.mark.parametrize(
    ("given", "spins"), [({}, openmp._SPINS[1]), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")]
)
def test_the_openmp_that_torch_loads_has_read_it(given, spins):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment(OMP_DISPLAY_ENV="verbose", **given),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert re.findall(r"GOMP_SPINCOUNT = '(\d+)'", run.stderr) == [spins]
