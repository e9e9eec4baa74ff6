"""The script that kills runs at random instants."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).parent.parent / "torture.py"


@pytest.mark.whole
@pytest.mark.parametrize("how", ["kill", "truncate"])
def test_runs_that_are_killed_end_with_the_weights_of_an_unbroken_run(tmp_path, how):
    command = [sys.executable, str(TORTURE), "--runs", "3", "--how", how, "--folder", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("3 of 3 runs")
