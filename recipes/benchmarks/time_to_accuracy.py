"""Measure how long a command takes to reach the score that a plain loop reaches in three epochs.

    python recipes/benchmarks/time_to_accuracy.py --folders data/sst2,data/trec,data/wnut17 --seeds 3

A folder holds train and test, as .jsonl or .csv (text, label) or .conll. Each side is a whole process, from start to
scores on the test rows. Ours is the recipe with nothing set, and with one epoch. The others (peers.py) are a
plain loop for 3 epochs, transformers.Trainer as it comes, and Trainer at its best (bf16, batches of similar length,
fused AdamW) for --epochs of them, all at 5e-5 in batches of 32. The time to accuracy of a side is the median of its
shortest way whose mean score is that of the plain loop, or more. Sides take turns, to meet the same machine.
Nothing is chosen by these rows: the recipe's defaults are those that it has. The run folder holds
time_to_accuracy.json and time_to_accuracy.md.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmark import PEERS, require_known, require_one_process, take_turn, without_launcher, write_rows
from comparison import interleaved
from tqdm import tqdm

import nlp_transfer as nt

log = logging.getLogger("nlp_transfer.time_to_accuracy")

_SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet", ".conll")
_TARGET = "plain, 3 epochs"
_RECIPES = {"classification": "classify", "ner": "ner"}
_SCORES = {"classification": "accuracy", "ner": "f1_strict"}


@dataclass
class TimingOptions:
    """What is measured, and how often."""

    _argument_group_name: ClassVar[str] = "time to accuracy"

    folders: list[str] = nt.option(default_factory=list, help="Folders of data sets, with commas or blanks between.")
    peers: list[str] = nt.option(
        default_factory=lambda: ["plain", "trainer", "trainer_best"], help="Beside whom: plain, trainer, trainer_best."
    )
    epochs: list[str] = nt.option(
        default_factory=lambda: ["1", "2", "3"], help="Epochs of Trainer, each a way of its own."
    )
    seeds: int = nt.option(3, help="Turns of each way, with seeds from 0 on.", above=0)
    model_name_or_path: str = nt.option("all-MiniLM-L6-v2", help="Encoder: a folder, or all-MiniLM-L6-v2.")
    output_dir: str = nt.option("runs/time_to_accuracy", help="Folder of the results.")

    def __post_init__(self) -> None:
        self.folders = [name for part in self.folders for name in part.split(",") if name]
        self.peers = [name for part in self.peers for name in part.split(",") if name]
        self.epochs = [count for part in self.epochs for count in part.split(",") if count]
        if not all(count.isdecimal() and int(count) for count in self.epochs):
            raise nt.OptionError(f"--epochs must be whole numbers above 0; got {', '.join(self.epochs)}.")
        require_known("peers", self.peers, tuple(name for name in PEERS if name != "pipeline"))
        if not self.folders:
            raise nt.OptionError("--folders names none; give folders that hold train.jsonl and test.jsonl.")
        if "plain" not in self.peers:
            raise nt.OptionError("--peers needs plain, whose score after three epochs is the one to reach.")


def main() -> None:
    """Let all sides take turns on each data set, then say when each reached the score."""
    (options,) = nt.parse([TimingOptions], __doc__)
    require_one_process()
    found = {Path(folder).name: files_of(Path(folder)) for folder in options.folders}
    folder = Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "command": shlex.join(["python", "recipes/benchmarks/time_to_accuracy.py", *sys.argv[1:]]),
        "sets": {},
    }
    for name, files in found.items():
        results["sets"][name] = measured(files, options)
        text = markdown(results)
        (folder / "time_to_accuracy.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        (folder / "time_to_accuracy.md").write_text(text, encoding="utf-8")
    print(text, end="")


def files_of(folder: Path) -> dict[str, str]:
    """The files of a data set, by split. OptionError where train or test is missing."""
    candidates = [(split, folder / f"{split}{end}") for split in ("train", "validation", "test") for end in _SUFFIXES]
    files = {split: str(path) for split, path in reversed(candidates) if path.is_file()}
    for split in ("train", "test"):
        if split not in files:
            raise nt.OptionError(f"--folders {folder} holds no {split}.jsonl, .csv or .conll.")
    return files


def measured(files: Mapping[str, str], options: TimingOptions) -> dict[str, list[dict[str, float]]]:
    """The seconds and scores of each way on one data set, a turn for each seed."""
    task = "ner" if files["train"].endswith(".conll") else "classification"
    others = (peer for peer in options.peers if peer != "plain")
    ways = ["ours", "ours, 1 epoch", _TARGET]
    ways += [f"{peer}, {count} epochs" for peer in others for count in options.epochs]
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as scratch:
        data = nt.DataOptions(
            train_file=files["train"], test_file=files["test"], validation_split_percentage=0.0
        )  # a plain loop holds nothing out
        splits = nt.load_splits(data, task)
        if task == "ner":
            _, splits = nt.NERHead.for_splits(splits)
        steps = math.ceil(len(splits.train.data) / 32)
        job = {"task": task, "files": write_rows(splits, Path(scratch)), "encoder": options.model_name_or_path,
               "batch_size": 32, "rate": 5e-5, "strategy": {"name": "full"}}  # fmt: skip
        order = interleaved(ways, options.seeds)
        for seed, way in tqdm(order, unit="turn", leave=False, disable=None):
            side, _, rest = way.partition(", ")
            if side == "ours":
                turn = ours(files, task, seed, rest, options.model_name_or_path, Path(scratch))
            else:
                result = take_turn(side, {**job, "steps": int(rest.split()[0]) * steps, "seed": seed}, scratch)
                if "skipped" in result:
                    raise nt.UserError(f"the turn of {side} cannot run here: {result['skipped']}")
                turn = {"seconds": result["seconds"], "score": result["score"]}
            turns[way].append(turn)
            log.info("%s, seed %d: %.1f in %.1f s", way, seed, 100 * turn["score"], turn["seconds"])
    return turns


def ours(files: Mapping[str, str], task: str, seed: int, epochs: str, encoder: str, scratch: Path) -> dict[str, float]:
    """A run of the recipe with nothing set but its files, and the epochs where `epochs` names them."""
    recipe = Path(__file__).parent.parent / f"{_RECIPES[task]}.py"
    flags = [part for split, path in files.items() for part in (f"--{split}_file", path)]
    flags += ["--model_name_or_path", encoder, "--seed", str(seed), "--output_dir", str(scratch / "run")]
    flags += ["--cache_dir", str(scratch / f"cache-{seed}-{epochs}")]  # each turn computes its own
    flags += ["--num_train_epochs", "1"] if epochs else []
    started = time.perf_counter()
    child = subprocess.run(
        [sys.executable, str(recipe), *flags, "--overwrite_output_dir"],
        env=without_launcher(os.environ), capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if child.returncode:
        raise nt.UserError(f"the recipe failed: {(child.stderr.strip().splitlines() or ['it printed nothing'])[-1]}")
    metrics = json.loads((scratch / "run" / "metrics.json").read_text(encoding="utf-8"))
    return {
        "seconds": seconds, "score": metrics["test"][_SCORES[task]], "training_seconds": metrics["train"]["seconds"]
    }  # fmt: skip


def markdown(results: Mapping[str, Any]) -> str:
    """A table of each data set, and one of the times to accuracy."""
    lines = ["# Time to accuracy", "", f"    {results['command']}", ""]
    reached: dict[str, dict[str, float | None]] = {}
    for name, turns in results["sets"].items():
        scores = {way: statistics.mean(turn["score"] for turn in of_way) for way, of_way in turns.items()}
        seconds = {way: statistics.median(turn["seconds"] for turn in of_way) for way, of_way in turns.items()}
        reached[name] = time_to(scores[_TARGET], scores, seconds)
        lines += [f"## {name}", "", "| way | score | seconds |", "|---|--:|--:|"]
        lines += [f"| {way} | {100 * scores[way]:.1f} | {seconds[way]:.0f} |" for way in turns]
        lines.append("")
    sides = list(dict.fromkeys(side for times in reached.values() for side in times))
    lines += ["## Seconds until the plain loop's score after three epochs", ""]
    lines += [f"| set | {' | '.join(sides)} |", f"|---|{'--:|' * len(sides)}"]
    for name, times in reached.items():
        cells = ["not reached" if times[side] is None else f"{times[side]:.0f}" for side in sides]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def time_to(target: float, scores: Mapping[str, float], seconds: Mapping[str, float]) -> dict[str, float | None]:
    """For each side the least seconds of a way that reaches the target; None where none does.

    >>> time_to(0.9, {"a, 1": 0.8, "a, 2": 0.9, "b": 0.7}, {"a, 1": 5, "a, 2": 9, "b": 1})
    {'a': 9, 'b': None}
    """
    sides = dict.fromkeys(way.partition(", ")[0] for way in scores)
    return {
        side: min(
            (seconds[way] for way in scores if way.partition(", ")[0] == side and scores[way] >= target), default=None
        )
        for side in sides
    }


if __name__ == "__main__":
    nt.run_recipe(main)
