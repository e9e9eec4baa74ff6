"""Module paths of the release before work, are the new modules themselves, and warn at the line that has to change."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import nlp_transfer as nt
from nlp_transfer.system.old_paths import MOVED, MOVED_NAMES

PACKAGE = Path(str(files("nlp_transfer")))

ALL = """
import importlib, sys, warnings
from nlp_transfer.system.old_paths import MOVED, MOVED_NAMES

wrong = []
for old, new in MOVED.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(f"nlp_transfer.{old}")
    named = [str(w.message) for w in caught if w.filename == __file__ and w.category is FutureWarning]
    wrong += [f"{old}: another module"] * (module is not importlib.import_module(f"nlp_transfer.{new}"))
    wrong += [f"{old}: {module.__spec__.name}"] * (module.__spec__.name != f"nlp_transfer.{new}")
    warned = [line.startswith(f"nlp_transfer.{old} has moved to nlp_transfer.{new};") for line in named] == [True]
    wrong += [f"{old}: {named}"] * (not warned)
assert not wrong, wrong
"""

USER = """
import nlp_transfer.durations
from nlp_transfer.flops import training_flops
from nlp_transfer.comparing.candidates import candidates_from
import importlib; importlib.import_module("nlp_transfer.heads.base")
from nlp_transfer.training import fit
from nlp_transfer.activations import Store
import pickle; in_words = pickle.loads(b"cnlp_transfer.memory\\ntraining_memory\\n.")
from nlp_transfer.training import fit, plan

import nlp_transfer as nt
assert fit is nt.fit and candidates_from is nt.candidates_from
assert nlp_transfer.heads.base.TaskHead is nt.TaskHead
"""
"""What users may have written, and warned of is each line but the first and the last ones."""


def test_the_table_names_modules_that_are_there():
    modules = {*MOVED.values(), *(new for names in MOVED_NAMES.values() for new in names.values())}
    gone = sorted(new for new in modules if not is_module(new))
    assert not gone, f"system/old_paths.py points to modules that are not there: {', '.join(gone)}"


def test_the_table_hides_no_module_and_no_public_name():
    assert sorted(old for old in MOVED if is_module(old)) == []
    assert sorted({*MOVED} & {*nt.__all__}) == []
    assert sorted({*MOVED} & {*MOVED.values()}) == []


@pytest.mark.parametrize("package", MOVED_NAMES)
def test_packages_that_were_modules_still_have_their_names(package):
    room = import_module(f"nlp_transfer.{package}")
    for name, module in MOVED_NAMES[package].items():
        assert getattr(room, name) is getattr(import_module(f"nlp_transfer.{module}"), name)
    with pytest.raises(AttributeError, match=rf"module 'nlp_transfer.{package}' has no attribute 'nothing'"):
        room.nothing  # noqa: B018


def test_each_old_path_is_the_new_module_and_warns_of_it(tmp_path):
    done = run(tmp_path, ALL)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.whole
def test_the_warning_stands_at_the_line_of_the_user(tmp_path):
    done = run(tmp_path, USER)
    assert done.returncode == 0, done.stderr
    warned = re.findall(r"user\.py:(\d+): FutureWarning: nlp_transfer\.(\S+) has moved to (\S+); the next", done.stderr)
    assert warned == [
        ("2", "durations", "nlp_transfer.system.durations"),
        ("3", "flops", "nlp_transfer.encoders.cost"),
        ("4", "comparing", f"nlp_transfer.{MOVED['comparing']}"),
        ("4", "comparing.candidates", f"nlp_transfer.{MOVED['comparing.candidates']}"),
        ("5", "heads.base", f"nlp_transfer.{MOVED['heads.base']}"),
        ("6", "training.fit", f"nlp_transfer.{MOVED_NAMES['training']['fit']}.fit"),
        ("7", "activations.Store", f"nlp_transfer.{MOVED_NAMES['activations']['Store']}.Store"),
        ("8", "memory", "nlp_transfer.encoders.cost"),
    ]
    assert done.stderr.count("Warning: ") == len(warned)


def test_a_path_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        import_module("nlp_transfer.nothing")


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    (folder / "user.py").write_text(code)
    return subprocess.run([sys.executable, str(folder / "user.py")], capture_output=True, text=True, timeout=240)
