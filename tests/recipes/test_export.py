"""The recipe that exports a run: its table, its report, its errors of one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import run_recipe

from nlp_transfer.runtime import load

FLAGS = ["--budget", "100", "--least_agreement", "1"]  # what a tiny network loses is no news


@pytest.fixture
def run(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished("classify")[0], tmp_path / "run"))


@pytest.fixture(autouse=True)
def short_turns(monkeypatch) -> None:
    monkeypatch.setattr("nlp_transfer.exporting.speed._SECONDS", 0.001)
    monkeypatch.setattr("nlp_transfer.exporting.speed._TURNS", 1)


def test_a_run_is_exported_and_the_table_says_what_was_measured(run, tmp_path):
    outcome = run_recipe("export", ["run", *FLAGS], tmp_path)
    assert outcome.status == 0, outcome.err
    heading, *lines = outcome.out.splitlines()
    assert heading.split() == ["form", "MB", "agreement", "accuracy", "logits", "differ", "texts/s", "alone", "texts/s",
                               "in", "batches"]  # fmt: skip
    forms = [line.partition("  ")[0].removesuffix(" (taken)") for line in lines]
    assert [form for form in forms if not form.startswith("PyTorch")] == ["fp32", "int8"]
    taken = load(run / "exported").metadata["form"]
    assert outcome.err.splitlines()[-1] == f"The export is in run/exported; model.onnx is {taken}."
    assert "report" not in outcome.err  # the run has none


@pytest.mark.usefixtures("with_reports")
def test_the_report_shows_the_last_export(task_flags, training_flags, tmp_path):
    assert (
        run_recipe("classify", [*task_flags["classify"], *training_flags, "--output_dir", "run"], tmp_path).status == 0
    )
    for flags in ([], ["--overwrite_output_dir"]):
        outcome = run_recipe("export", ["run", *FLAGS, *flags], tmp_path)
        assert "The table is in the run's report, too." in outcome.err
    headings = [table["heading"] for table in json.loads((tmp_path / "run" / "report.json").read_text())["tables"]]
    assert headings.count("Exported forms") == 1
    assert (tmp_path / "run" / "report.html").read_text().count("<h2>Exported forms</h2>") == 1


def test_what_cannot_be_exported_is_one_line(run, tmp_path, monkeypatch):
    (run / "exported").mkdir()
    (run / "exported" / "notes.txt").write_text("mine")
    lines = {
        (): "the folder of a run comes first, then the options: export RUN --budget 0.3.",
        ("--budget", "1"): "the folder of a run comes first, then the options: export RUN --budget 0.3.",
        ("nowhere",): "nowhere holds no run (no transfer.json); give the folder that a training recipe wrote.",
        ("run",): "--output_dir run/exported is not empty, and holds no export; name another folder.",
        ("run", "--forms", "fp16"): "--forms must be fp32 or int8; got fp16.",
        ("run", "--forms", "fp32", "--take", "int8"): "--take int8 is not among --forms fp32; add it there.",
        ("run", "--budget", "-1"): "--budget must be 0 or more; got -1.",
        ("run", "--output_dir", "here", "--validation_file", "missing.csv"): "missing.csv does not exist",
    }
    for flags, line in lines.items():
        outcome = run_recipe("export", list(flags), tmp_path)
        assert outcome.status == 2, flags
        assert outcome.err.splitlines()[-1].startswith(f"error: {line}"), outcome.err
        assert outcome.out == ""
    assert not (tmp_path / "here").exists()
    assert [path.name for path in (run / "exported").iterdir()] == ["notes.txt"]
    monkeypatch.setattr("nlp_transfer.exporting.export_run._PACKAGES", ("onnx", "no_such_package"))
    outcome = run_recipe("export", ["run", "--output_dir", "here"], tmp_path)
    line = "error: exporting needs no_such_package; pip install 'nlp-transfer[export]'."
    assert (outcome.status, outcome.err.splitlines()[-1]) == (2, line)
