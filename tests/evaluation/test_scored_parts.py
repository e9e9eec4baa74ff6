"""Files are scored in parts: each once, in the order of the input, and to what recipes/predict.py gives."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import BAD as BAD_WORDS
from conftest import GOOD, run_recipe
from contract_cases import lively
from random_models import models

import nlp_transfer as nt
from nlp_transfer.evaluation.scored_parts import ScoringPlan

__all__ = ["lively", "models"]

ROWS = [
    {"id": f"{i:03}", "text": f'the "film" was\n{(GOOD + BAD_WORDS)[i % 16]}, {"and sad " * (i % 5)}.', "gold": "none"}
    for i in range(45)
]


def write(folder: Path, name: str) -> Path:
    """The rows, in the form of the file's suffix."""
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=13)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(ROWS[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(ROWS)
    return path


def options(model: Path, source: Path, target: Path, **more: Any) -> nt.ScoringOptions:
    settings = {"rows_per_part": 10, "mixed_precision": "no", "per_device_eval_batch_size": 4} | more
    return nt.ScoringOptions(model_name_or_path=str(model), input_file=str(source), output_dir=str(target), **settings)


def score(given: nt.ScoringOptions, most: int | None = None) -> list[dict]:
    """Score with nobody's engine: one part after another, the last one first. `most`: and stop then."""
    with contextlib.closing(ScoringPlan(given)) as plan:
        worker = pickle.loads(pickle.dumps(plan.score))
        results = [worker(item) for item in plan.items()[::-1][:most]]
        for result in results:
            plan.take(result)
        if most is None:
            plan.finish()
    return results


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_parts_hold_the_rows_in_their_order_with_what_the_recipe_predicts(models, tmp_path, name):
    source = write(tmp_path, name)
    assert len(score(options(models("native"), source, tmp_path / "out"))) == 5
    flags = ["--model_name_or_path", str(models("native")), "--input_file", str(source), "--mixed_precision", "no"]
    assert run_recipe("predict", [*flags, "--output_file", "out.parquet"], tmp_path).status == 0
    expected = pq.read_table(tmp_path / "out.parquet").to_pylist()
    scored = pq.read_table(tmp_path / "out").to_pylist()
    assert [{name: row[name] for name in ROWS[0]} for row in scored] == ROWS
    assert [row["label"] for row in scored] == [row["label"] for row in expected]
    wanted = [row["probability"] for row in expected]
    assert [row["probability"] for row in scored] == pytest.approx(wanted, abs=1.01e-6)  # the last of six digits
    assert sorted(os.listdir(tmp_path / "out"))[:2] == [".lock", "_made_of.json"]
    assert len(os.listdir(tmp_path / "out")) == 7


def test_what_is_written_is_not_scored_again(models, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    given = options(models("native"), write(tmp_path, "rows.csv"), tmp_path / "out")
    score(given, most=2)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    (tmp_path / "out" / ".incomplete-part-00000-000000000000.parquet-ab").write_text("of a worker that was killed")
    caplog.clear()
    assert sorted(result["part"] for result in score(given)) == [f"part-00000-{i:012}.parquet" for i in (0, 10, 20)]
    assert "2 of 5 parts are written already." in caplog.text
    assert "45 rows are in" in caplog.text
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert {name: after[name] for name in before} == before
    assert not list((tmp_path / "out").glob(".incomplete*"))
    monkeypatch.setattr(nt.Scorer, "table", None)
    assert score(given) == []


@pytest.mark.parametrize("change", ["input", "option", "model"])
def test_parts_of_something_else_are_refused_or_removed(models, tmp_path, change):
    source = write(tmp_path, "rows.csv")
    score(options(models("native"), source, tmp_path / "out"))
    if change == "input":
        source.write_text(source.read_text().replace("sad", "bad"))
    model = models("pooled" if change == "model" else "native")
    given = options(model, source, tmp_path / "out", all_probabilities=change == "option")
    with pytest.raises(nt.OptionError, match="holds parts of another model, input or options; name another folder, or"):
        score(given)
    given.overwrite_output_dir = True
    assert len(score(given)) == 5
    given.workers = 3  # who computes changes nothing
    assert score(given) == []


def test_a_folder_of_other_files_is_never_emptied(models, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    given = options(models("native"), write(tmp_path, "rows.csv"), tmp_path / "out", overwrite_output_dir=True)
    with pytest.raises(nt.OptionError, match=r"holds other files; name another folder\."):
        score(given)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_a_second_run_of_a_folder_is_refused(models, tmp_path):
    given = options(models("native"), write(tmp_path, "rows.csv"), tmp_path / "out")
    with (
        contextlib.closing(ScoringPlan(given)),
        pytest.raises(nt.OptionError, match="another run is writing it; wait for its end, or name another folder"),
    ):
        ScoringPlan(given)


def test_several_files_are_scored_in_the_order_of_their_names(models, tmp_path):
    (tmp_path / "rows").mkdir()
    for name in ("b.csv", "a.csv"):
        (tmp_path / "rows" / name).write_text(f"text\ngood {name}\nbad {name}\n")
    (tmp_path / "rows" / "_SUCCESS").touch()
    for source in (tmp_path / "rows", tmp_path / "rows" / "*.csv"):
        score(options(models("native"), source, tmp_path / f"out{source.name[:1]}".replace("*", "s")))
    for target in ("outr", "outs"):
        texts = pq.read_table(tmp_path / target).column("text").to_pylist()
        assert texts == ["good a.csv", "bad a.csv", "good b.csv", "bad b.csv"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"input_file": "none.csv"}, "--input_file none.csv does not exist."),
    "no match": ({"input_file": "none-*.csv"}, "--input_file none-*.csv names no file."),
    "no run": ({"model_name_or_path": "."}, ". is no run: it holds neither model/ nor runtime.json"),
    "column": ({"text_column_name": "txt"}, "rows.csv, from row 41 on: the batch has no column 'txt' (did you mean"),
    "a label": ({"input_file": "gold.csv"}, "the rows have a column 'label' already, which the predictions would"),
    "a blank": ({"input_file": "blank.csv"}, "blank.csv, from row 1 on: row 2 of the batch has no text; mend it, or"),
    "empty": ({"input_file": "empty.csv"}, "empty.csv has no rows."),
    "xlsx": ({"input_file": "x.xlsx"}, "x.xlsx: it cannot be cut into parts; give Parquet, CSV, TSV or JSONL"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_scored_is_one_line(models, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gold.csv").write_text("text,label\ngood,praise\n")
    (tmp_path / "blank.csv").write_text("n,text\n1,good\n2, \n")
    (tmp_path / "empty.csv").write_text("text\n")
    (tmp_path / "x.xlsx").write_text("x")
    given = options(models("native"), write(tmp_path, "rows.csv"), tmp_path / "out")
    for name, value in BAD[case][0].items():
        setattr(given, name, value)
    with pytest.raises(nt.UserError) as error:
        score(given)
    assert BAD[case][1] in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_without_a_text_are_kept_where_they_are_skipped(models, tmp_path):
    (tmp_path / "blank.csv").write_text("n,text\n1,good\n2, \n")
    score(options(models("native"), tmp_path / "blank.csv", tmp_path / "out", skip_bad_rows=True))
    assert [row["label"] is None for row in pq.read_table(tmp_path / "out").to_pylist()] == [False, True]


def test_a_missing_engine_is_one_line_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, package in (("ray", "ray"), ("spark", "pyspark")):
        with pytest.raises(nt.OptionError, match=rf'pip install "nlp-transfer\[{name}\]"$'):
            nt.require_engine(package, name)
