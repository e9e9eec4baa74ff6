"""The files for `accelerate launch` say when to use them; test_dying.py starts the processes that one of them names."""

from __future__ import annotations

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from conftest import RECIPES

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
