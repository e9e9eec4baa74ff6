"""A run of local files asks nobody anything, also where it would be allowed to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import RECIPES

SILENCED = ("HF_HUB_DISABLE_TELEMETRY", "HF_UPDATE_DOWNLOAD_COUNTS")


def python(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python that knows nothing of what these tests have set for themselves."""
    told = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", *SILENCED)} | environment
    told |= {"NLP_TRANSFER_TESTS_REACHED": str(folder / "reached"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=told, capture_output=True, text=True, timeout=240
    )


def test_a_process_that_a_test_starts_cannot_reach_the_network(tmp_path):
    ask = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; {}'])"
    for what in ("socket.create_connection(('192.0.2.1', 80))", "socket.socket().connect(('192.0.2.1', 80))"):
        run = python(["-c", ask.format(what.replace("'", '"'))], tmp_path)
        assert "a test tried to reach 192.0.2.1" in run.stderr
    said = (tmp_path / "reached").read_text().splitlines()
    assert said == ["socket.getaddrinfo 192.0.2.1", "socket.connect 192.0.2.1"]


@pytest.mark.whole
def test_a_whole_run_opens_no_connection(training_flags, task_flags, tmp_path):
    """With the fresh process that opens the saved model; the hub's offline mode is off, and errors would be caught.

    It is a command of its own here, and nothing that the libraries below say hides what it says.
    """
    flags = [*task_flags["classify"], *training_flags, "--strategy", "full"]
    run = python([str(RECIPES / "classify.py"), *flags], tmp_path)
    assert run.returncode == 0, run.stderr
    assert os.listdir(tmp_path) == ["runs"]  # and not `reached`
    assert set(os.listdir(tmp_path / "runs" / "classify")) == {
        "README.md", "metrics.json", "model", "options.yaml", "predictions.jsonl", "reference_rows.jsonl",
        "report.html", "report.json", "transfer.json",
    }  # fmt: skip
    assert run.stdout.startswith("test (16 rows)")
    usual = (
        "Not given, ",
        "Collapsed or untrained: ",
        "Training ",
        "Data: ",
        "Validation rows: ",
        "Test rows: ",
        "Probabilities ",
    )
    said = [line for line in run.stderr.splitlines() if not line.startswith(usual)]
    assert len(said) == 2, said
    assert "in a fresh process" in said[0]
    assert said[1] == "The run is in runs/classify."


def test_what_libraries_tell_their_makers_is_off_unless_asked_for(tmp_path):
    ask = "import nlp_transfer, huggingface_hub.constants as c, datasets; print(c.HF_HUB_DISABLE_TELEMETRY, "
    ask += "datasets.config.HF_UPDATE_DOWNLOAD_COUNTS)"
    assert python(["-c", ask], tmp_path).stdout.split() == ["True", "False"]
    assert python(["-c", ask], tmp_path, HF_UPDATE_DOWNLOAD_COUNTS="1").stdout.split() == ["True", "True"]
    assert python(["-c", ask], tmp_path, **dict.fromkeys(SILENCED, "0")).stdout.split() == ["False", "False"]
