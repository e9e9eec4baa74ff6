"""The files for `accelerate launch` say when to use them, and start as many processes as they say."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from conftest import RECIPES

import nlp_transfer as nt

FOLDER = RECIPES / "configs" / "accelerate"
PROCESSES = {"cpu": (1, 1), "cpu_2": (2, 1), "gpu": (1, 1), "gpu_8": (8, 1), "fsdp2": (2, 1), "zero2": (2, 1)}
PROCESSES["two_nodes"] = (16, 2)


def test_every_file_is_here():
    assert {path.stem for path in FOLDER.iterdir()} == set(PROCESSES)


@pytest.mark.parametrize("name", PROCESSES)
def test_accelerate_reads_it_and_its_comment_says_when_to_use_it(name):
    path = FOLDER / f"{name}.yaml"
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    assert (config.num_processes, config.num_machines) == PROCESSES[name]
    comment = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert len(comment) > 1
    assert f"--config_file recipes/configs/accelerate/{name}.yaml" in comment[-1]


def test_as_many_processes_start(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(FOLDER / "cpu_2.yaml")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE_")} | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launch, "--main_process_port", port, __file__], cwd=tmp_path, env=environment, check=True, timeout=240
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0 of 2", "1 of 2"]


if __name__ == "__main__":
    accelerator = nt.make_accelerator(nt.TrainingOptions(mixed_precision="no"))
    Path(f"{accelerator.process_index} of {accelerator.num_processes}").touch()
    accelerator.end_training()
