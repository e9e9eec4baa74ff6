"""What `pip install nlp-transfer` brings: the recipes, and the command that runs them, in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import RECIPES, review_lines

pytestmark = pytest.mark.whole  # builds a wheel, and starts a dozen processes

ROOT = RECIPES.parent
SHIPPED = ("nlp_transfer", "recipes", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A virtual environment in which the wheel is installed, beside the dependencies of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files that the next one would pack
    source.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    there = ["--python", str(environment / "bin" / "python")]
    # The checkout, where PYTHONPATH names it, counts as installed.
    subprocess.run([*pip, *there, "install", "--no-deps", "--no-index", "--ignore-installed", wheel], check=True)
    # A .pth file puts the dependencies behind the wheel, and runs none of the .pth files that stand beside them.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return environment / "bin"


@pytest.fixture
def run(installed, tmp_path):
    """`run(command, *words)` runs a command of the environment in an empty folder."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def start(command: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed / command), *words], cwd=tmp_path, env=outside | {"OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return start


def write_reviews(folder: Path) -> list[str]:
    for name in ("train", "validation", "test"):
        lines = [f"{text},{label}\n" for text, label in review_lines(24)]
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    return [word for name in ("train", "validation", "test") for word in (f"--{name}_file", f"{name}.csv")]


def test_the_command_comes_with_the_wheel_and_runs_recipes(run, tmp_path, training_flags):
    where = run("python", "-c", "import nlp_transfer.recipes as r; print(r.__file__)").stdout
    assert "environment" in where
    assert where.endswith("nlp_transfer/recipes/__init__.py\n")
    assert len(run("nlp-transfer").stdout.splitlines()) == 10
    listed = {line.split()[0] for line in run("nlp-transfer", "list").stdout.splitlines()}
    assert listed == {path.stem for path in (*RECIPES.glob("[!_]*.py"), *RECIPES.glob("*.ipynb"))}
    flags = [*write_reviews(tmp_path), *training_flags, "--num_train_epochs", "1"]
    outcome = run("nlp-transfer", "classify", *flags)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("test (24 rows)")
    assert (tmp_path / "runs" / "classify" / "model" / "model.safetensors").is_file()
    two = [*flags, "--processes", "2", "--output_dir", "runs/two"]
    assert run("nlp-transfer", "classify", *two).stdout.splitlines()[0] == outcome.stdout.splitlines()[0]
    assert "processes: 2\n" in (tmp_path / "runs" / "two" / "options.yaml").read_text()
    bad = run("nlp-transfer", "classify", "--train_file", "missing.conll")
    assert (bad.returncode, bad.stdout, bad.stderr) == (2, "", "error: missing.conll does not exist; check the path.\n")


def test_trainings_that_compare_starts_are_processes_of_their_own(run, tmp_path, training_flags):
    flags = [*write_reviews(tmp_path), *training_flags, "--num_train_epochs", "1"]
    outcome = run("nlp-transfer", "compare", *flags, "--strategies", "freeze", "--seeds", "1", "--workers", "2")
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "runs" / "compare" / "comparison.json").is_file()
    assert "freeze" in outcome.stdout


def test_a_recipe_is_a_module_and_its_copy_a_script(run, tmp_path, training_flags):
    flags = [*write_reviews(tmp_path), *training_flags, "--num_train_epochs", "1"]
    launch = ("-m", "accelerate.commands.accelerate_cli", "launch", "--cpu")
    outcome = run("python", *launch, "-m", "nlp_transfer.recipes.classify", *flags)
    assert outcome.returncode == 0, outcome.stderr
    assert run("nlp-transfer", "copy", "classify", ".").returncode == 0
    recipe = tmp_path / "classify.py"
    recipe.write_text(recipe.read_text().replace("runs/classify", "runs/mine"))
    outcome = run("python", "classify.py", *flags)
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "runs" / "mine" / "metrics.json").is_file()
    assert run("nlp-transfer", "copy", "classify").returncode == 2
    assert "runs/mine" in recipe.read_text()
