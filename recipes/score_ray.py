"""Score files of any size with a trained model on the workers of Ray Data, on one machine or on a cluster.

    python recipes/score_ray.py --model_name_or_path runs/mine --input_file "rows/*.parquet" --output_dir scored
    nlp-transfer score_ray --model_name_or_path runs/mine --input_file rows.csv --output_dir scored

The output is a folder of Parquet files, which hold the rows as they were and the predictions that recipes/predict.py
would write, in the order of the input. A part that is written is not scored again: after an interruption the same
command goes on. On a cluster (RAY_ADDRESS, or `ray job submit`) all workers must see input, model and output at the
same paths. Needs pip install "nlp-transfer[ray]".
"""

import contextlib
import logging
import os

import nlp_transfer as nt


def main() -> None:
    """Plan the parts, let workers score those that are missing."""
    (options,) = nt.parse([nt.ScoringOptions], __doc__)
    nt.require_engine("ray", "ray")
    with contextlib.closing(nt.ScoringPlan(options)) as plan:
        if plan.missing:
            score(plan, options)
        plan.finish()


def score(plan: nt.ScoringPlan, options: nt.ScoringOptions) -> None:
    """Score the missing parts. A worker that dies is started again, and does its part again."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts: it would tell its makers
    import ray

    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": options.workers, "_node_ip_address": "127.0.0.1"}
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING, **here)
    workers = options.workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // options.threads)
    ray.data.DataContext.get_current().enable_progress_bars = False
    parts = ray.data.from_items(plan.items(), override_num_blocks=len(plan.missing))
    results = parts.map_batches(
        Worker,
        fn_constructor_args=(plan.score,),
        batch_size=1,
        num_cpus=options.threads,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(workers, len(plan.missing))),
    )
    for result in results.iter_rows():
        plan.take(result)
    ray.shutdown()


class Worker:
    """A process of Ray that keeps the model between parts."""

    def __init__(self, scorer: nt.PartScorer) -> None:
        self.scorer = scorer

    def __call__(self, batch: dict) -> dict:
        """Score the part of a batch of one."""
        result = self.scorer({"part": batch["part"][0]})
        return {name: [value] for name, value in result.items()}


if __name__ == "__main__":
    nt.run_recipe(main)
