"""The recipe of the labelling loop, from raw texts to a training file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import review_lines, run_recipe

LINES = [(f"{text} {number}", label) for number, (text, label) in enumerate(review_lines(60))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "raw.txt").write_text("".join(f"{text}\n" for text, _ in LINES))
    (tmp_path / "labels.yaml").write_text("praise: it was good\ncomplaint:\n- it was bad\n- it was poor\n")
    return tmp_path


def fill(path: Path, back: Path) -> None:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    with open(back, "w", newline="") as file:
        writer = csv.DictWriter(file, ["row_id", "text", "label"])
        writer.writeheader()
        writer.writerows({**row, "label": dict(LINES)[row["text"]]} for row in rows)


def test_a_loop_runs_to_its_end(folder, checkpoint):
    first = ["--text_file", "raw.txt", "--labels_file", "labels.yaml", "--model_name_or_path", checkpoint()]
    outcome = run_recipe("label", ["next", *first, "--rows", "30"], folder)
    assert outcome.status == 0, outcome.err
    assert outcome.err.splitlines()[-1].endswith("they are in labelling/batches/batch-001.csv.")
    fill(folder / "labelling/batches/batch-001.csv", folder / "back.csv")
    outcome = run_recipe("label", ["merge", "--labelled_file", "back.csv"], folder)
    assert (outcome.status, outcome.err) == (0, "back.csv: 30 rows labelled.\n")
    outcome = run_recipe("label", ["status"], folder)
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("30 of 60 texts are labelled.\nrows by label: praise ")
    command = outcome.out.splitlines()[-1].removeprefix("Train on them: nlp-transfer classify ").split()
    flags = ["--model_name_or_path", checkpoint(), "--max_train_steps", "2", "--mixed_precision", "no"]
    trained = run_recipe("classify", [*command, *flags], folder)
    assert trained.status == 0, trained.err
    for form, suffix in (("label_studio", ".json"), ("doccano", ".jsonl"), ("prodigy", ".jsonl")):
        outcome = run_recipe("label", ["next", "--rows", "5", "--format", form], folder)
        assert outcome.status == 0, outcome.err
        assert list((folder / "labelling" / "batches").glob(f"*{suffix}"))
    assert "<Choice value=" in (folder / "labelling" / "label_studio.xml").read_text()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "error: the action comes first, one of next, merge, status"),
        (["--rows", "5"], "error: the action comes first"),
        (["status"], "error: --folder labelling holds no labelling yet; begin with: nlp-transfer label next"),
        (["next"], "error: --text_file is missing"),
        (["next", "--text_file", "no.txt"], "error: no.txt does not exist"),
        (["next", "--label_names", "a,b"], "error: --text_file is missing"),
        (["next", "--label_names", "a,b", "--text_file", "no.txt"], "error: no.txt does not exist"),
        (["next", "--label_names", "a,a"], "error: --label_names has 'a' twice"),
        (["next", "--format", "xml"], "error: --format must be csv, label_studio, doccano or prodigy; got xml"),
        (["next", "--rows", "0"], "error: --rows must be more than 0"),
        (["merge"], "error: --labelled_file is missing"),
        (["merge", "--labelled_files", "x"], "error: unknown option --labelled_files; did you mean --labelled_file?"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(tmp_path, flags, said):
    outcome = run_recipe("label", flags, tmp_path)
    assert outcome.status == 2
    assert outcome.err.startswith(said)
    assert outcome.err.count("\n") == 1


def test_help_lists_the_options(tmp_path):
    outcome = run_recipe("label", ["next", "--help"], tmp_path)
    assert outcome.status == 0
    assert "--labelled_file" in outcome.out


def test_rows_that_do_not_fit_end_with_status_2_and_are_kept(folder, checkpoint):
    first = ["--text_file", "raw.txt", "--label_names", "praise,complaint", "--model_name_or_path", checkpoint()]
    assert run_recipe("label", ["next", *first, "--rows", "10"], folder).status == 0
    fill(folder / "labelling/batches/batch-001.csv", folder / "back.csv")
    text = (folder / "back.csv").read_text().replace(",praise", ",prase", 1)
    (folder / "back.csv").write_text(text)
    outcome = run_recipe("label", ["merge", "--labelled_file", "back.csv"], folder)
    assert outcome.status == 2
    assert "9 rows are merged, and these are not: 1 row with an unknown label 'prase'" in outcome.err.splitlines()[-1]
    (listed,) = (folder / "labelling" / "problems").iterdir()
    assert json.loads(listed.read_text())["label"] == "prase"
    assert run_recipe("label", ["merge", "--labelled_file", "back.csv", "--skip_bad_rows"], folder).status == 0
