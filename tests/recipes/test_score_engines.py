"""Ray and Spark on this machine give what recipes/predict.py gives, and a worker that is killed changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import BAD, GOOD, RECIPES, THINGS, run_recipe
from contract_cases import lively
from random_models import models

import nlp_transfer as nt

__all__ = ["lively", "models"]

ROWS = 600
ENGINES = {"score_ray": ("ray", "MapWorker"), "score_spark": ("pyspark", "pyspark.daemon")}

pytestmark = pytest.mark.whole


@pytest.fixture
def source(tmp_path) -> Path:
    """Rows whose predictions differ."""
    words = GOOD + BAD
    texts = [f"the {THINGS[i % 8]} was {words[i % 16]} and {words[i // 16 % 16]}" for i in range(ROWS)]
    pq.write_table(pa.table({"id": range(ROWS), "text": texts}), tmp_path / "rows.parquet", row_group_size=100)
    return tmp_path / "rows.parquet"


def command(engine: str, model: Path, source: Path) -> list[str]:
    flags = "--output_dir out --rows_per_part 20 --workers 2 --mixed_precision no --all_probabilities"
    files = ["--model_name_or_path", str(model), "--input_file", str(source)]
    return [sys.executable, str(RECIPES / f"{engine}.py"), *files, *flags.split()]


def killed_one(driver: subprocess.Popen, named: str, folder: Path) -> bool:
    """Kill one process that scores, of those that the driver has started, when the first part is there."""
    until = time.monotonic() + 300
    while not list(folder.glob("out/part-*")):
        if driver.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(0.01)
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            is_worker = named in " ".join(process.cmdline()) and not process.children()
            if is_worker and process.memory_info().rss > 200 << 20:  # it has loaded the model
                process.kill()
                return True
        except psutil.Error:
            continue
    return False


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_gives_what_predict_gives_though_a_worker_is_killed(engine, models, source, tmp_path, monkeypatch):
    package, worker = ENGINES[engine]
    pytest.importorskip(package)
    # A process of Ray asks the system for the address of this machine as if it would reach another one.
    monkeypatch.setenv("PYTHONPATH", str(RECIPES.parent))
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen(command(engine, models("native"), source), cwd=tmp_path, stdout=log, stderr=log)
        killed = killed_one(driver, worker, tmp_path)
        status = driver.wait(500)
    told = (tmp_path / "log").read_text()
    assert status == 0, told[-3000:]
    assert killed, told[-3000:]
    assert f"{ROWS} rows are in out, in 30 parts." in told
    scored = pq.read_table(tmp_path / "out").to_pylist()
    flags = ["--model_name_or_path", str(models("native")), "--input_file", str(source), "--mixed_precision", "no"]
    assert run_recipe("predict", [*flags, "--output_file", "out.parquet", "--all_probabilities"], tmp_path).status == 0
    expected = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in scored] == list(range(ROWS))
    assert [row["label"] for row in scored] == [row["label"] for row in expected]
    for name in ("praise", "complaint"):
        wanted = [row["probabilities"][name] for row in expected]
        assert [row["probabilities"][name] for row in scored] == pytest.approx(wanted, abs=1.01e-6)
    again = subprocess.run(
        command(engine, models("native"), source), cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert (again.returncode, again.stderr.splitlines()) == (
        0, ["30 of 30 parts are written already.", f"{ROWS} rows are in out, in 30 parts."],
    )  # fmt: skip


USED_DIRECTLY = {
    "ray": """
import ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
rows = ray.data.read_parquet(source)
scored = rows.map_batches(nt.Scorer(model, precision="no").table, batch_format="pyarrow").take_all()
ray.shutdown()
""",
    "pyspark": """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
scorer = nt.Scorer(model, precision="no")
def score(batches):
    for batch in batches:
        yield from scorer.table(pa.Table.from_batches([batch])).to_batches()
rows = spark.read.parquet(source)
scored = rows.mapInArrow(score, "id long, text string, label string, probability double").collect()
scored = [row.asDict() for row in scored]
spark.stop()
""",
}


@pytest.mark.parametrize("engine", USED_DIRECTLY)
def test_a_scorer_is_a_function_of_the_rows_of_an_engine(engine, models, source, tmp_path, monkeypatch):
    pytest.importorskip(engine)
    monkeypatch.setenv("PYTHONPATH", str(RECIPES.parent))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    head = "import json, sys, pyarrow as pa, nlp_transfer as nt\nmodel, source = sys.argv[1:]\n"
    end = "print(json.dumps(sorted(([row['id'], row['label']] for row in scored))))\n"
    script = ["-c", head + USED_DIRECTLY[engine] + end, str(models("native")), str(source)]
    run = subprocess.run([sys.executable, *script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    texts = pq.read_table(source).column("text").to_pylist()
    expected = nt.Scorer(models("native"), precision="no")({"text": texts})["label"]
    assert json.loads(run.stdout.splitlines()[-1]) == [[place, label] for place, label in enumerate(expected)]
