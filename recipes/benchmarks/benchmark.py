"""Measure the speed of training and predicting beside that of plain loops and transformers, on this machine.

    python recipes/benchmarks/benchmark.py --suite quick
    python recipes/benchmarks/benchmark.py --suite full --train_file train.jsonl --test_file test.jsonl --peers plain

Each side takes its turns in fresh processes (peers.py) on the same rows, encoder, number of steps, batch size, rate
and seed: A B, then B A, and so on. Without files it takes the sample set of the package. Nothing is downloaded. The
run folder holds benchmark.json and benchmark.md.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from comparison import compare, interleaved, precision_named, speed, table
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything of the hub is imported, which reads it once

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.benchmark")

SUITES = {"quick": 24, "full": None}  # steps of a turn; None: as many as the epochs have
PEERS = {
    "plain": "a loop written by hand: fp32, random batches padded to their longest row, AdamW, 6% warmup",
    "trainer": "transformers.Trainer with its defaults, but that it saves nothing on the way",
    "trainer_best": "transformers.Trainer with bf16, train_sampling_strategy=group_by_length and fused AdamW",
    "pipeline": "transformers.pipeline in fp32, as TransferModel.predict is",
}
SAME_IN_PEERS = {
    "full": (),
    "freeze": ("trainable_layers",),
    "lora": ("lora_r", "lora_alpha", "lora_dropout", "lora_targets"),
}


@dataclass
class BenchmarkOptions:
    """What is measured, and beside whom."""

    _argument_group_name: ClassVar[str] = "benchmark"

    task: str = nt.option("classification", help="classification or ner.")
    suite: str = nt.option("quick", help="quick: 24 steps a turn; full: whole runs.")
    peers: list[str] = nt.option(default_factory=lambda: list(PEERS), help=f"Beside whom: {', '.join(PEERS)}.")
    repeats: int = nt.option(3, help="Turns of each side.")
    model_name_or_path: str = nt.option("all-MiniLM-L6-v2", help="Encoder: a folder, or all-MiniLM-L6-v2.")
    max_length: int | None = nt.option(None, help="Tokens read of a text.", default_text="256, or fewer")
    num_train_epochs: float = nt.option(3.0, help="full: times every row is seen.")
    max_train_steps: int | None = nt.option(None, help="Steps of a turn, whatever the suite and the epochs.")
    per_device_train_batch_size: int = nt.option(32, help="Rows of a step, and of a batch in predicting.")
    learning_rate: float | None = nt.option(None, help="Peak learning rate.", default_text="what suits the --strategy")
    mixed_precision: str = nt.option("auto", help="Of our training, as in the other recipes.")
    seed: int = nt.option(0, help="Seed of everything random.")

    def __post_init__(self) -> None:
        self.peers = [name for part in self.peers for name in part.split(",") if name]
        require_known("task", [self.task], ("classification", "ner"))
        require_known("suite", [self.suite], tuple(SUITES))
        require_known("peers", self.peers, tuple(PEERS))
        if not self.peers or len(set(self.peers)) < len(self.peers):
            raise nt.OptionError(f"--peers must name one or more of {', '.join(PEERS)}, each once.")
        if self.repeats < 1:
            raise nt.OptionError(f"--repeats must be more than 0; got {self.repeats}.")
        shared = ("num_train_epochs", "max_train_steps", "per_device_train_batch_size", "learning_rate", "seed",
                  "mixed_precision")  # fmt: skip
        nt.TrainingOptions(**{name: getattr(self, name) for name in shared})  # refuses what makes no sense


def main() -> None:
    """Read data, take turns, compare, write."""
    benchmark, data, strategy_options, output = nt.parse(
        [BenchmarkOptions, nt.DataOptions, nt.StrategyOptions, nt.OutputOptions], __doc__
    )
    require_one_process()
    if output.resume is not None:
        raise nt.OptionError("--resume: the turns of a benchmark keep no checkpoints; leave it out.")
    strategy = what_peers_do_too(strategy_options)
    target = output.output_dir or "runs/benchmark"

    with nt.RunFolder(target, output.overwrite_output_dir) as folder, tempfile.TemporaryDirectory() as scratch:
        splits = nt.load_splits(data, benchmark.task, benchmark.seed)
        if benchmark.task == "ner":
            _, splits = nt.NERHead.for_splits(splits)  # which spells their tags in IOB2
        for note in splits.notes:
            log.info(note)
        steps_per_epoch = math.ceil(len(splits.train.data) / benchmark.per_device_train_batch_size)
        job = {
            "task": benchmark.task,
            "files": write_rows(splits, Path(scratch)),
            "encoder": benchmark.model_name_or_path,
            "max_length": benchmark.max_length,
            "steps": benchmark.max_train_steps
            or SUITES[benchmark.suite]
            or math.ceil(benchmark.num_train_epochs * steps_per_epoch),
            "batch_size": benchmark.per_device_train_batch_size,
            "rate": benchmark.learning_rate or nt.strategy_named(**strategy).default_learning_rate,
            "seed": benchmark.seed,
            "mixed_precision": benchmark.mixed_precision,
            "strategy": strategy,
        }
        before = take_turn("machine", job, scratch)
        log.info(before["line"])
        # What predicts has to be trained first: a turn of ours leaves its network behind.
        peers = [peer for peer in benchmark.peers if peer != "pipeline"]
        training, skipped = take_turns(["ours", *peers], benchmark.repeats if peers else 1, job, scratch)
        predicting: list[dict[str, Any]] = []
        if "pipeline" in benchmark.peers:
            predicting, _ = take_turns(["ours_predicting", "pipeline"], benchmark.repeats, job, scratch)
        after = take_turn("machine", job, scratch)

        # Twice, and the better: another program may have been busy at one of the times.
        peaks = {precision: max(peak, after["peaks"][precision]) for precision, peak in before["peaks"].items()}
        results = {
            "command": shlex.join(["python", "recipes/benchmarks/benchmark.py", *sys.argv[1:]]),
            "machine": before["machine"],
            "gemm_flops_per_second": peaks,
            "options": asdict(benchmark) | asdict(data) | {"strategy": strategy},
            "skipped": skipped,
            "training": compare(training, peaks),
            "predicting": compare(predicting, peaks) if predicting else {},
            "turns": training + predicting,
        }
        text = markdown(results, job, splits, before)
        (folder.path / "benchmark.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        (folder.path / "benchmark.md").write_text(text, encoding="utf-8")
        print(text, end="")
    log.info("The benchmark is in %s.", folder.target)


def require_known(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise OptionError for a name that is not known."""
    for name in names:
        if name not in known:
            raise nt.OptionError(f"--{option} {name} is unknown; known are {', '.join(known)}.")


def require_one_process() -> None:
    """Raise OptionError where a launcher has started several of us: each would measure beside the others."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise nt.OptionError("the benchmark starts its processes itself; launch one of it, with --num_processes 1.")


def what_peers_do_too(options: Any) -> dict[str, Any]:
    """The `name` of the strategy, and its options that were given; OptionError where no peer can do the same."""
    nt.strategy_from(options)
    given = {name: value for name, value in vars(options).items() if value is not None}
    name = given.pop("strategy").replace("auto", "full")  # what the peers do
    require_known("strategy", [name], tuple(SAME_IN_PEERS))
    for option in given:
        if option not in SAME_IN_PEERS[name]:
            raise nt.OptionError(f"--{option} is nothing that the peers can do; leave it out.")
    return {"name": name, **given}


def write_rows(splits: nt.Splits, folder: Path) -> dict[str, str]:
    """The splits as JSONL files that every side reads, by name; test is validation where there is none."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test or splits.validation}
    paths = {}
    for name, rows in parts.items():
        if rows is None:
            continue
        columns = ("words", "tags") if "tags" in rows.data.column_names else ("text", "label")
        lines = [json.dumps({column: row[column] for column in columns}) + "\n" for row in rows.data]
        paths[name] = str(folder / f"{name}.jsonl")
        Path(paths[name]).write_text("".join(lines), encoding="utf-8")
    return paths


def take_turns(
    sides: Sequence[str], repeats: int, job: Mapping[str, Any], scratch: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What the turns gave, each with its `side` and `round`; and the sides that cannot run here, with the reason."""
    turns: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    order = interleaved(sides, repeats)
    with logging_redirect_tqdm([logging.getLogger("nlp_transfer")]):
        for number, side in tqdm(order, unit="turn", leave=False, disable=None):
            if side in skipped:
                continue
            result = take_turn(side, job, scratch)
            if "skipped" in result:
                skipped[side] = result["skipped"]
                continue
            turns.append({"round": number, "side": side} | result)
            log.info("%s, round %d: %.1f rows/s, %.1f s in all", side, number + 1, speed(result), result["seconds"])
    return turns, skipped


def take_turn(side: str, job: Mapping[str, Any], scratch: str) -> dict[str, Any]:
    """One turn in a process of its own: what it printed, and the `seconds` from its start to its end.

    Raises UserError with the last line of its stderr where it failed.
    """
    folder = Path(scratch) / ("ours" if side in ("ours_predicting", "pipeline") else side)
    if folder.name == side:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    job_of_side = json.dumps({**job, "side": side, "folder": str(folder)})
    started = time.perf_counter()
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("peers.py")), job_of_side],
        env=without_launcher(os.environ),
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if child.returncode:
        output = [line for line in child.stderr.splitlines() if line.strip()] or ["it printed nothing"]
        why = f"signal {-child.returncode} ended it." if child.returncode < 0 else output[-1].removeprefix("error: ")
        raise nt.UserError(f"the turn of {side} failed: {why}")
    return json.loads(child.stdout.splitlines()[-1]) | {"seconds": seconds}


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a launcher has set for this process: a turn is one process, on one GPU at most."""
    prefixes = ("ACCELERATE_", "TORCHELASTIC_", "MASTER_", "FSDP_")
    gpu = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    if environment.get("OMP_NUM_THREADS") == "1" and any(name.startswith("ACCELERATE_") for name in environment):
        environment = {name: value for name, value in environment.items() if name != "OMP_NUM_THREADS"}
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(prefixes) and not name.endswith(("RANK", "WORLD_SIZE"))
    }
    return kept | {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "CUDA_VISIBLE_DEVICES": gpu}


def markdown(results: Mapping[str, Any], job: Mapping[str, Any], splits: nt.Splits, machine: Mapping[str, Any]) -> str:
    """The command, the machine, the tables, and what one has to know to read them."""
    from nlp_transfer.encoders.cost import FORMULA  # takes torch along, for which --help need not wait

    options = results["options"]
    test = splits.test or splits.validation or splits.train
    peaks = [f"{precision_named(p)} {f / 1e9:,.0f} GFLOP/s" for p, f in results["gemm_flops_per_second"].items()]
    strategy = ", ".join(f"{name} {value}" for name, value in job["strategy"].items() if name != "name")
    settings = (
        f"{options['task'].capitalize()} with {Path(job['encoder']).name}, {job['strategy']['name']}"
        f"{f' ({strategy})' if strategy else ''}: {job['steps']:,} steps of {job['batch_size']} of "
        f"{len(splits.train.data):,} rows, rate {job['rate']:g}, seed {job['seed']}; scored on {len(test.data):,} rows "
        f"({'strict F1' if options['task'] == 'ner' else 'accuracy'}). Medians of {options['repeats']} turns; ratios "
        f"round by round: median (least..most)."
    )
    lines = ["# Benchmark", "", f"    {results['command']}", "", f"Machine: {machine['line']}.", "", settings, ""]
    lines += [
        line for kind in ("training", "predicting") if results[kind] for line in (*table(kind, results[kind]), "")
    ]
    lines += [f"- {peer}: {PEERS[peer]}." for peer in options["peers"] if peer not in results["skipped"]]
    lines += [f"- {peer}: skipped, for {reason}." for peer, reason in results["skipped"].items()]
    lines += [
        "- tokens: real ones, trained on. In less than an epoch sides draw different rows (Trainer's length grouping "
        "begins with the longest), so rows/s compare only where tokens do.",
        "- whole: from the start of a process to its end; ours scores validation rows and fits baselines besides.",
        f"- of peak: {FORMULA} The fastest products: {', '.join(peaks)}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    nt.run_recipe(main)
