"""Find defaults of training: settings side by side on several data sets, scored on training rows that are held out.

    python recipes/benchmarks/defaults.py --files sst2/train.jsonl,trec/train.jsonl,wnut17/train.conll --rows 500,2000
        --settings base high:learning_rate=2e-4 --seeds 5

Of each file, the training rows of a data set, a third is held out for scoring, 1,000 rows at most, and the settings are
trained on as many of the others as --rows says. No validation or test file is read, and nothing else is held out, so
that no evaluation chooses weights or stops a training. A setting is a name and what differs from head_then_full with
the recipes' own defaults: options of training, of the head (pooling), or another strategy with its options (tried.py
has some). The first setting is the one that the others are compared with. The folder of the run holds results.jsonl,
with a line for each training, where a run that is stopped goes on, and defaults.md.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

from tqdm import tqdm

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.defaults")

_HELD_OUT, _MOST_HELD_OUT = 1 / 3, 1000  # share of a file that settings are scored on, and rows at most
_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26, 11: 2.23, 12: 2.20, 16: 2.13}


@dataclass
class DefaultsOptions:
    """Which settings are tried, and on what."""

    _argument_group_name: ClassVar[str] = "defaults"

    files: list[str] = nt.option(default_factory=list, help="Training files, with commas or blanks between them.")
    rows: list[str] = nt.option(default_factory=lambda: ["1000"], help="Training rows to learn from; all for all.")
    settings: list[str] = nt.option(
        default_factory=lambda: ["base"], help="NAME or NAME:OPTION=VALUE,OPTION=VALUE; the first is the base."
    )
    seeds: int = nt.option(5, help="Trainings of each setting on each file, with seeds from 0 on.", above=0)
    workers: int = nt.option(2, help="Trainings at once, each with its share of the cores.", above=0)
    model_name_or_path: str = nt.option("all-MiniLM-L6-v2", help="Encoder: a folder, or all-MiniLM-L6-v2.")
    output_dir: str = nt.option("runs/defaults", help="Folder of the results, which are gone on with.")

    def __post_init__(self) -> None:
        self.files = [name for part in self.files for name in part.split(",") if name]
        self.rows = [name for part in self.rows for name in part.split(",") if name]
        if wrong := [rows for rows in self.rows if rows != "all" and not (rows.isdecimal() and int(rows))]:
            raise nt.OptionError(f"--rows must be numbers of rows above 0, or all; got {wrong[0]}.")
        if not self.files:
            raise nt.OptionError("--files names none; give training files, one for each data set.")


@dataclass(frozen=True)
class Job:
    """One training: a setting on some rows of a file, with a seed."""

    file: str
    rows: str
    setting: str
    seed: int
    encoder: str
    values: tuple[tuple[str, str], ...] = field(compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other jobs."""
        values = ",".join(f"{option}={value}" for option, value in self.values)
        return self.file, self.rows, self.setting, str(self.seed), values, self.encoder


def main() -> None:
    """Train what has no result yet, then compare."""
    (options,) = nt.parse([DefaultsOptions], __doc__)
    folder = Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.jsonl"
    settings = dict(setting_of(text) for text in options.settings)
    jobs = list(jobs_of(options, settings))
    done = {tuple(result["key"]): result for result in results_in(path)}
    left = [job for job in jobs if job.key not in done]
    for job in left:
        nt.require_files(nt.DataOptions(train_file=job.file))
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // options.workers))  # of workers
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(trained, job) for job in left]
        for future in tqdm(as_completed(futures), total=len(futures), unit="training", disable=None):
            result = future.result()
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            done[tuple(result["key"])] = result
    text = markdown([done[job.key] for job in jobs], list(settings))
    (folder / "defaults.md").write_text(text, encoding="utf-8")
    print(text, end="")


def setting_of(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The name and the values of a setting. OptionError where it is not NAME:OPTION=VALUE,..."""
    name, _, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",") if part]
    if not name or not all(option and value for option, _, value in pairs):
        raise nt.OptionError(f"--settings {text}: write NAME or NAME:OPTION=VALUE,OPTION=VALUE.")
    return name, tuple((option, value) for option, _, value in pairs)


def jobs_of(options: DefaultsOptions, settings: dict[str, tuple[tuple[str, str], ...]]) -> Iterator[Job]:
    """All trainings, seed by seed, so that what is stopped has something on every file."""
    for seed in range(options.seeds):
        for file in options.files:
            for rows in options.rows:
                for name, values in settings.items():
                    yield Job(file, rows, name, seed, options.model_name_or_path, values)


def results_in(path: Path) -> list[dict[str, Any]]:
    """The results of an earlier start; a line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def trained(job: Job) -> dict[str, Any]:
    """Train a job, and score it on the rows that were held out; `score` is None where the task lacks an option."""
    import torch  # in the worker alone
    import tried  # noqa: F401 (registers its strategies)

    from nlp_transfer.data.fractions import nested_share
    from nlp_transfer.data.splits import hold_out
    from nlp_transfer.experiments.candidates import Candidate
    from nlp_transfer.experiments.trial import Trial, TrialSetup

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    logging.disable(logging.INFO)
    is_tagged = Path(job.file).suffix in (".conll", ".bio", ".iob")
    task = "ner" if is_tagged else "classification"
    head_class = nt.head_named(task)
    groups = {
        "head": {f.name for f in dataclasses.fields(head_class.task_options)},
        "training": {f.name for f in dataclasses.fields(nt.TrainingOptions)},
    }
    given = dict(job.values)
    strategy = given.pop("strategy", "head_then_full")
    parts: dict[str, dict[str, str]] = {"head": {}, "training": {}, "strategy": {}}
    for name, value in given.items():
        parts[next((part for part, names in groups.items() if name in names), "strategy")][name] = value
    if is_tagged and "pooling" in given:
        return {"key": job.key, "score": None}
    flags = [f"--{name}={value}" for part in ("head", "training", "strategy") for name, value in parts[part].items()]
    data, head_options, training, chosen = nt.parse(
        [nt.DataOptions, head_class.task_options, nt.TrainingOptions, nt.StrategyOptions],
        None,
        [f"--train_file={job.file}", f"--strategy={strategy}", "--validation_split_percentage=0", *flags,
         "--seed", str(job.seed)],
    )  # fmt: skip
    rows, head, held_out = rows_of(job, data, head_class, head_options, hold_out, nested_share)
    candidate = Candidate(strategy, job.encoder, strategy, tuple(chosen.given().items()))
    setup = TrialSetup(head, nt.ModelOptions(model_name_or_path=job.encoder), training, None)
    started = time.perf_counter()
    trial = Trial(candidate, seed=job.seed).train(nt.Splits(rows, None, None), setup)
    seconds = time.perf_counter() - started
    return {
        "key": job.key,
        "train_rows": len(rows.data),
        "labels": len(head.labels),
        "steps": trial.result.steps,
        "metric": head.choice_metric,
        "score": trial.score(held_out, head.choice_metric, "held out"),
        "seconds": round(seconds, 1),
    }


def rows_of(
    job: Job, data: nt.DataOptions, head_class: Any, head_options: Any, hold_out: Any, nested_share: Any
) -> tuple[nt.Rows, nt.TaskHead, nt.Rows]:
    """The rows that are trained on, the head for all labels of the file, and the rows that are scored."""
    whole = nt.splits_from(job.file, job.file, task=head_class.reads, options=data).train
    splits = nt.Splits(whole, None, None)
    if head_class.reads == "ner":
        head, splits = head_class.for_splits(splits, **vars(head_options))
    else:
        head = head_class.for_splits(splits, **vars(head_options))
    label = None if head_class.reads == "ner" else "label"
    share = min(_HELD_OUT, _MOST_HELD_OUT / len(splits.train.data))
    train, held_out = hold_out(splits.train, share, job.seed, label)
    if job.rows != "all" and int(job.rows) < len(train.data):
        train = nested_share(train, int(job.rows) / len(train.data), job.seed)
    return train, head, held_out


def markdown(results: Sequence[dict[str, Any]], settings: Sequence[str]) -> str:
    """A table of the settings: their mean score, and how far they are from the first one, by number of rows."""
    scores: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for result in results:
        file, rows, setting, seed, *_ = result["key"]
        if result["score"] is not None:
            scores[rows, setting, file][seed] = 100 * result["score"]
    lines = ["# Settings of training", ""]
    for rows in dict.fromkeys(rows for rows, _, _ in scores):
        files = [file for r, setting, file in scores if (r, setting) == (rows, settings[0])]
        lines += [f"## {rows} rows", "", "| setting | score | minus base | interval | sets ahead | worst set |"]
        lines += ["|---|--:|--:|--:|--:|---|"]
        for setting in settings:
            leads = {}
            for file in files:
                base, mine = scores[rows, settings[0], file], scores[rows, setting, file]
                if common := base.keys() & mine.keys():
                    leads[file] = statistics.mean(mine[seed] - base[seed] for seed in common)
            means = [statistics.mean(scores[rows, setting, file].values()) for file in leads]
            if not leads:
                continue
            lead = statistics.mean(leads.values())
            spread = statistics.stdev(leads.values()) / len(leads) ** 0.5 if len(leads) > 1 else 0.0
            reach = _T.get(len(leads), 2.0) * spread
            worst = min(leads, key=lambda file: leads[file])
            lines.append(
                f"| {setting} | {statistics.mean(means):.2f} | {lead:+.2f} | {lead - reach:+.2f} to {lead + reach:+.2f}"
                f" | {sum(lead > 0 for lead in leads.values())} of {len(leads)} | {Path(worst).parent.name} "
                f"{leads[worst]:+.2f} |"
            )
        lines.append("")
    lines.append("Intervals are of the mean over sets (Student's t, 95%).")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    nt.run_recipe(main)
