"""Progress bars are silent off a terminal, and warn of nothing in a notebook."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

NOTEBOOK = """
import sys, types
sys.modules["ipywidgets"] = None  # not installed
sys.modules["ipykernel.zmqshell"] = types.ModuleType("zmqshell")
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: object()
"""


def errors_of(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize("kind", ["", NOTEBOOK], ids=["script", "notebook without ipywidgets"])
def test_a_bar_off_a_terminal_writes_nothing(kind):
    bar = "from nlp_transfer.system.progress_bars import tqdm\nlist(tqdm(range(3), disable=None))"
    assert errors_of(kind + bar) == ""


def test_tqdm_itself_warns_in_such_a_notebook():
    assert "IProgress not found" in errors_of(NOTEBOOK + "import tqdm.auto")


def test_every_bar_of_the_package_is_one_of_these():
    package = Path(str(files("nlp_transfer")))
    paths = [path for path in package.rglob("*.py") if re.search(r"^ *(from|import) tqdm", path.read_text(), re.M)]
    assert [path.stem for path in paths] == ["progress_bars"]
