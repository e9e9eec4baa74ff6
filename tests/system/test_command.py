"""`nlp-transfer` runs, lists and copies recipes, and names the nearest where it knows no such one."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import RECIPES

import nlp_transfer as nt
from nlp_transfer.system.command import main, recipes
from nlp_transfer.training.progress import Progress


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """`command(*words)` is the status of `nlp-transfer WORDS` in an empty folder, and what it printed and logged."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nlp-transfer", *words])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def test_alone_it_says_in_ten_lines_what_there_is(command):
    status, out, err = command()
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 10
    assert "check_data, classify, compare, export, label, ner" in out
    assert command("--help") == command("-h") == command("help") == (0, out, "")
    assert command("--version") == (0, f"nlp-transfer {nt.__version__}\n", "")


def test_every_recipe_is_listed_with_the_first_line_of_its_docstring(command):
    status, out, err = command("list")
    assert (status, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines.pop("quickstart") == "Quickstart: the Python way (a notebook, to copy)."
    assert set(lines) == {path.stem for path in RECIPES.glob("*.py")} - {"__init__"} == set(recipes())
    for name, path in recipes().items():
        assert str(ast.get_docstring(ast.parse(path.read_text()))).startswith(f"{lines[name]}\n\n")


def test_a_recipe_is_copied_and_nothing_is_overwritten(command, tmp_path):
    assert command("copy", "check-data", ".") == (
        0, "check_data.py is yours to change. Run it: python check_data.py\n", ""
    )  # fmt: skip
    assert (tmp_path / "check_data.py").read_text() == (RECIPES / "check_data.py").read_text()
    (tmp_path / "check_data.py").write_text("mine")
    status, out, err = command("copy", "check_data")
    assert (status, out) == (2, "")
    assert err == "error: check_data.py already exists; name another folder, or move the file away.\n"
    assert (tmp_path / "check_data.py").read_text() == "mine"
    assert os.listdir(tmp_path) == ["check_data.py"]


def test_the_notebook_is_copied(command, tmp_path):
    said = "quickstart.ipynb is yours to change. Run it: jupyter lab quickstart.ipynb\n"
    assert command("copy", "quickstart", ".") == (0, said, "")
    assert (tmp_path / "quickstart.ipynb").read_text() == (RECIPES / "quickstart.ipynb").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["clasify"], "unknown command or recipe 'clasify'; did you mean classify?"),
        (["check-dat"], "unknown command or recipe 'check-dat'; did you mean check_data?"),
        (["lst"], "unknown command or recipe 'lst'; did you mean list?"),
        (["--verson"], "unknown command or recipe '--verson'; did you mean --version?"),
        (["xyz"], f"unknown command or recipe 'xyz'; recipes are {', '.join(recipes())}."),
        (["__init__"], f"unknown command or recipe '__init__'; recipes are {', '.join(recipes())}."),
        (["list", "all"], "nlp-transfer list takes no argument; got all."),
        (["copy"], "copy takes a recipe and a folder, as in: nlp-transfer copy classify ."),
        (["copy", "nerr"], "unknown recipe 'nerr'; did you mean ner?"),
        (["copy", "ner", "gone"], "gone is not a folder; make it first, or name another one."),
        (["classify", "--train_fil", "x"], "unknown option --train_fil; did you mean --train_file?"),
        (["check-data", "--train_file", "gone.csv"], "gone.csv does not exist; check the path."),
    ],
)
def test_what_it_cannot_do_is_one_line_and_status_2(command, tmp_path, words, line):
    assert command(*words) == (2, "", f"error: {line}\n")
    assert os.listdir(tmp_path) == []


def test_the_cache_is_listed_and_cleared(command, tmp_path, monkeypatch):
    monkeypatch.setenv("NLP_TRANSFER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / ("0" * 32)).mkdir(parents=True)
    status, out, _ = command("cache", "list")
    assert (status, out.splitlines()[-1]) == (0, f"1 folder, 0.0 MB in total, in {tmp_path / 'cache'}")
    assert command("cache", "clear")[:2] == (0, f"1 folder, 0.0 MB freed, in {tmp_path / 'cache'}\n")
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "unknown command 'cache lst'; did you mean list?"),
        (["x"], "unknown command 'cache x'; the commands are list and clear."),
        ([], "the following arguments are required: list|clear; as in: nlp-transfer cache list"),
    ],
)
def test_an_unknown_command_of_the_cache_is_one_line_with_the_nearest(command, arguments, message):
    status, out, err = command("cache", *arguments)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.strip().endswith(message)


def test_neither_help_nor_list_nor_copy_load_torch_or_transformers(tmp_path):
    code = """
import sys
from nlp_transfer.system.command import main
for words in ([], ["list"], ["copy", "ner"], ["--version"]):
    sys.argv[1:] = words
    main()
assert not {"torch", "transformers", "numpy"} & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_a_recipe_runs_as_its_file_does(command, task_flags, training_flags, finished, tmp_path):
    status, out, err = command(
        "classify", *task_flags["classify"], *training_flags, "--strategy", "full", "--output_dir", "run"
    )
    folder, outcome = finished("classify")
    assert (status, out, err.splitlines()[-1]) == (0, outcome.out, "The run is in run.")
    for name in ("predictions.jsonl", "options.yaml"):
        assert (tmp_path / "run" / name).read_text() == Path(folder / name).read_text()
    again = command("classify", "--config", "run/options.yaml")
    assert again == (
        2, "", "error: --output_dir run already holds a run; name another, or give --overwrite_output_dir.\n"
    )  # fmt: skip


@pytest.mark.whole
def test_a_recipe_that_sigterm_stops_can_be_resumed(
    command, task_flags, training_flags, finished, tmp_path, monkeypatch
):
    flags = [*task_flags["classify"], *training_flags, "--strategy", "full", "--output_dir", "run"]
    step = Progress.update

    def stopped_at_the_third(self, given):
        if given.number == 3:
            signal.raise_signal(signal.SIGTERM)
        step(self, given)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", stopped_at_the_third)
        status, _, err = command("classify", *flags)
    assert status == 143
    assert "error: stopped by SIGTERM after step 3; " in err
    status, _, err = command("classify", *flags, "--resume")
    assert status == 0, err
    predictions = Path("run", "predictions.jsonl")
    assert predictions.read_text() == (finished("classify")[0] / "predictions.jsonl").read_text()
