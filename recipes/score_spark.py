"""Score files of any size with a trained model on the workers of Spark, on one machine or on a cluster.

    python recipes/score_spark.py --model_name_or_path runs/mine --input_file "rows/*.parquet" --output_dir scored
    spark-submit recipes/score_spark.py --model_name_or_path runs/mine --input_file rows.csv --output_dir scored

The output is a folder of Parquet files, which hold the rows as they were and the predictions that recipes/predict.py
would write, in the order of the input. A part that is written is not scored again: after an interruption the same
command goes on. On a cluster all workers must see input, model and output at the same paths. Needs Java and
pip install "nlp-transfer[spark]".
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import nlp_transfer as nt

TRIES = 4  # of a part whose worker dies; by default a machine alone has one


def main() -> None:
    """Plan the parts, let workers score those that are missing."""
    (options,) = nt.parse([nt.ScoringOptions], __doc__)
    nt.require_engine("pyspark", "spark")
    with contextlib.closing(nt.ScoringPlan(options)) as plan:
        if plan.missing:
            score(plan, options)
        plan.finish()


def score(plan: nt.ScoringPlan, options: nt.ScoringOptions) -> None:
    """Score the missing parts, each a task of its own."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    builder = SparkSession.builder.appName("nlp-transfer").config("spark.ui.showConsoleProgress", "false")
    if "SPARK_ENV_LOADED" not in os.environ:  # spark-submit names the master
        builder = builder.master(f"local[{options.workers or '*'},{TRIES}]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    spark = builder.config("spark.task.cpus", str(options.threads)).getOrCreate()
    scorer = plan.score

    def score_parts(frames: Iterator[Any]) -> Iterator[Any]:
        import pandas as pd  # in a worker

        for frame in frames:
            yield pd.DataFrame([scorer({"part": part}) for part in frame["part"]])

    parts = spark.sparkContext.parallelize(plan.items(), len(plan.missing))  # a task for each
    frame = spark.createDataFrame(parts.map(lambda item: (item["part"],)), "part string")
    results = frame.mapInPandas(score_parts, "part string, rows long, error string")
    for result in results.collect():
        plan.take(result.asDict())
    spark.stop()


if __name__ == "__main__":
    nt.run_recipe(main)
