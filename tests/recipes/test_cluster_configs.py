"""Job files for clusters: their commands exist, and the scripts of SLURM do what they say, with stand-ins for SLURM."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import RECIPES

import nlp_transfer as nt
from nlp_transfer.system.command import recipes

CONFIGS = RECIPES / "configs"
SCRIPTS = sorted((CONFIGS / "cluster").glob("*.sh"))
YAMLS = sorted([*(CONFIGS / "cluster").glob("*.yaml"), *(CONFIGS / "docker").glob("*.yml")])

SRUN = """#!/bin/bash
[ "$1" = --kill-on-bad-exit=1 ] && shift
if [ "${SLURM_JOB_NUM_NODES:-1}" = 1 ]; then exec "$@"; fi
SLURM_NODEID=1 "$@" &
SLURM_NODEID=0 "$@" && wait $!
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then printf '127.0.0.1\\n127.0.0.2\\n'; else echo "$@" >> scontrol.log; fi
"""
COMMAND = """#!/bin/bash
exec {python} -c 'import nlp_transfer.system.command as command; command.main()' "$@"
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Where `srun` runs a command here, once for each node, and `scontrol` writes down what it was told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {"srun": SRUN, "scontrol": SCONTROL, "nlp-transfer": COMMAND.format(python=sys.executable)}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    python = os.pathsep.join([str(RECIPES.parent), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PATH": path, "PYTHONPATH": python, "SLURM_JOB_ID": "7", "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash_and_shellcheck_finds_nothing(path):
    assert subprocess.run(["bash", "-n", path], capture_output=True, text=True).stderr == ""
    if shutil.which("shellcheck"):
        check = subprocess.run(["shellcheck", path], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout
    directives = re.findall(r"^#SBATCH (--[\w-]+)", path.read_text(), re.M)
    assert {"--requeue", "--signal", "--nodes"} <= set(directives)


@pytest.mark.whole
def test_a_job_of_slurm_that_is_stopped_is_queued_again_and_resumes(task_flags, training_flags, environment, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--output_dir", "run", "--strategy", "full", "--no_verify"]
    flags += ["--num_train_epochs", "60", "--report", "false"]
    command = ["bash", str(CONFIGS / "cluster" / "slurm_one_node.sh"), *flags]
    with open(tmp_path / "log", "w") as log:
        job = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        until = time.monotonic() + 120
        while "Training " not in (told := (tmp_path / "log").read_text()):
            assert job.poll() is None, told
            assert time.monotonic() < until, told
            time.sleep(0.05)
        job.send_signal(signal.SIGTERM)  # as SLURM does before the time limit, to the shell alone
        status = job.wait(60)
    told = (tmp_path / "log").read_text()
    assert status == 0, told
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"
    assert re.search(r"error: stopped by SIGTERM after step \d+; --resume continues from there\.", told), told
    assert any((tmp_path / "run" / "checkpoints").iterdir())
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "Resuming from " in again.stderr
    assert (tmp_path / "run" / "transfer.json").is_file()
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"


@pytest.mark.whole
def test_a_job_of_several_nodes_trains_on_all_of_them(task_flags, training_flags, environment, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--output_dir", tmp_path / "run", "--strategy", "full"]
    script = CONFIGS / "cluster" / "slurm_several_nodes.sh"
    environment |= {
        "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_SUBMIT_DIR": str(RECIPES.parent),
        "SLURM_JOB_ID": str(os.getpid()),
    }  # fmt: skip
    command = ["bash", script, *flags, "--no_verify", "--report", "false"]
    job = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert job.returncode == 0, job.stderr[-3000:]
    assert (tmp_path / "run" / "transfer.json").is_file()
    assert not (tmp_path / "scontrol.log").exists()


def commands(text: str) -> list[list[str]]:
    """The recipes that a file starts, and their options."""
    text = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"(?:nlp-transfer |recipes/)(\w+(?:\.py)? -.*)", text)
    return [shlex.split(line.replace(".py", "", 1)) for line in found]


@pytest.mark.parametrize("path", [p for p in YAMLS if p.parent.name == "cluster"], ids=lambda path: path.name)
def test_job_files_name_recipes_and_options_that_exist(path):
    def texts(node: object) -> list[str]:
        if isinstance(node, dict):
            node = list(node.values())
        return (
            [node]
            if isinstance(node, str)
            else [t for one in node for t in texts(one)]
            if isinstance(node, list)
            else []
        )

    found = [command for text in texts(yaml.safe_load(path.read_text())) for command in commands(text)]
    assert found
    for name, *flags in found:
        assert name in recipes()
        flags = ["1" if word.startswith("$") and word.endswith("NODE") else word for word in flags]
        assert flags.pop() == "--resume"  # which takes no folder here, and so stands last
        groups = [nt.ModelOptions, nt.DataOptions, nt.ClassificationOptions, nt.StrategyOptions, nt.TrainingOptions]
        nt.parse([*groups, nt.CacheOptions, nt.OutputOptions], None, flags)


def test_the_compose_file_serves_with_options_that_exist():
    text = (CONFIGS / "docker" / "docker-compose.yml").read_text()
    service = yaml.safe_load(text)["services"]["serve"]
    run, *flags = service["command"]
    (options,) = nt.parse([nt.ServingOptions], None, flags)
    assert run.startswith("/runs/")
    assert (options.host, options.token_file) == ("0.0.0.0", "/run/secrets/token")
    assert int(service["stop_grace_period"].rstrip("s")) > options.stop_timeout
    assert (CONFIGS / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_dockerfile_copies_what_there_is_and_starts_the_server():
    text = (CONFIGS / "docker" / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.M) for word in line.split()[:-1]]
    assert all((RECIPES.parent / word).exists() for word in copied)
    allowed = re.findall(r"^!(.*)$", (CONFIGS / "docker" / "Dockerfile.dockerignore").read_text(), re.M)
    assert sorted(allowed) == sorted(copied)
    assert 'ENTRYPOINT ["nlp-transfer", "serve"]' in text
