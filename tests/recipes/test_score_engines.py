"""Ray and Spark on this machine give what recipes/predict.py gives, and a worker that is killed changes nothing."""

from __future__ import annotations

import os
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
def test_an_engine_gives_what_predict_gives_though_a_worker_is_killed(engine, models, source, tmp_path):
    package, worker = ENGINES[engine]
    pytest.importorskip(package)
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen(
            command(engine, models("native"), source), cwd=tmp_path, stdout=log, stderr=log, env=environment
        )
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


def test_a_scorer_is_a_function_of_ray_data(models, source):
    ray = pytest.importorskip("ray")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        rows = ray.data.read_parquet(str(source))
        scored = rows.map_batches(nt.Scorer(models("native"), precision="no").table, batch_format="pyarrow")
        given = sorted(scored.take_all(), key=lambda row: row["id"])
    finally:
        ray.shutdown()
    texts = pq.read_table(source).column("text").to_pylist()
    expected = nt.Scorer(models("native"), precision="no")({"text": texts})
    assert [row["label"] for row in given] == expected["label"]


def test_a_scorer_is_a_function_of_spark(models, source):
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        rows, scorer = spark.read.parquet(str(source)), nt.Scorer(models("native"), precision="no")

        def score(batches):
            for batch in batches:
                yield from scorer.table(pa.Table.from_batches([batch])).to_batches()

        scored = rows.mapInArrow(score, "id long, text string, label string, probability double")
        given = sorted(scored.collect(), key=lambda row: row["id"])
    finally:
        spark.stop()
    texts = pq.read_table(source).column("text").to_pylist()
    assert [row["label"] for row in given] == scorer({"text": texts})["label"]
