"""Measure learning from few rows a label, beside SetFit on the same rows.

    python recipes/benchmarks/few_shot.py --folders data/trec,data/sst2 --shots 1,4,8,16,50 --draws 10
    python recipes/benchmarks/few_shot.py --folders data/trec --setfit_python setfit-env/bin/python

A folder holds train and test, as .jsonl or .csv (text, label). Of each label so many training rows are drawn, and every
way learns the same ones: `few_shot` as it comes, its head alone on the frozen encoder, and SetFit with its defaults, in
an environment of its own (`pip install setfit`) whose Python is named. Nothing is chosen by the test rows. Scores are
accuracy, expected calibration error in 10 bins, and seconds from rows to a model. The run folder holds few_shot.json,
to which a run that goes on adds what is missing, and few_shot.md.
"""

from __future__ import annotations

import json
import logging
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from benchmark import require_one_process
from time_to_accuracy import files_of
from tqdm import tqdm

import nlp_transfer as nt
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.metrics.calibration_error import expected_calibration_error

log = logging.getLogger("nlp_transfer.few_shot")

Rows = list[dict[str, str]]
Turn = dict[str, Any]


@dataclass
class FewShotOptions:
    """What is measured, and how often."""

    _argument_group_name: ClassVar[str] = "few shots"

    folders: list[str] = nt.option(default_factory=list, help="Folders of data sets, with commas or blanks between.")
    shots: list[str] = nt.option(default_factory=lambda: ["1", "4", "8", "16", "50"], help="Rows a label.")
    draws: int = nt.option(10, help="Draws of training rows, with seeds from 0 on.", above=0)
    test_rows: int = nt.option(1000, help="Test rows at most, the same for all.", above=0)
    setfit_python: str | None = nt.option(None, help="Python of an environment with setfit; without it, only ours.")
    model_name_or_path: str = nt.option("all-MiniLM-L6-v2", help="Encoder: a folder, or all-MiniLM-L6-v2.")
    output_dir: str = nt.option("runs/few_shot", help="Folder of the results.")

    def __post_init__(self) -> None:
        self.folders = [name for part in self.folders for name in part.split(",") if name]
        self.shots = [count for part in self.shots for count in part.split(",") if count]
        if not self.folders:
            raise nt.OptionError("--folders names none; give folders that hold train.jsonl and test.jsonl.")
        if not all(count.isdecimal() and int(count) for count in self.shots):
            raise nt.OptionError(f"--shots must be whole numbers above 0; got {', '.join(self.shots)}.")


def main() -> None:
    """Let every way learn each draw of each data set."""
    (options,) = nt.parse([FewShotOptions], __doc__)
    require_one_process()
    sets = {Path(folder).name: files_of(Path(folder)) for folder in options.folders}
    folder = Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "few_shot.json"
    turns: list[Turn] = json.loads(path.read_text(encoding="utf-8"))["turns"] if path.is_file() else []
    done = {(turn["set"], turn["shots"], turn["draw"], turn["way"]) for turn in turns}
    ways: dict[str, Callable[[Rows, Rows, int, FewShotOptions], Turn]] = {"few_shot": ours, "head alone": head_alone}
    ways |= {"SetFit": setfit} if options.setfit_python else {}
    wanted = [
        (name, int(shots), draw, way)
        for draw in range(options.draws) for shots in options.shots for name in sets for way in ways
    ]  # fmt: skip
    for name, shots, draw, way in tqdm(wanted, unit="turn", leave=False, disable=None):
        if (name, shots, draw, way) in done:
            continue
        train, test = drawn(sets[name], shots, draw, options.test_rows)
        turn = {"set": name, "shots": shots, "draw": draw, "way": way, **ways[way](train, test, draw, options)}
        log.info("%s, %d rows a label, draw %d, %s: %.1f", name, shots, draw, way, 100 * turn["accuracy"])
        turns.append(turn)
        command = shlex.join(["python", "recipes/benchmarks/few_shot.py", *sys.argv[1:]])
        path.write_text(json.dumps({"command": command, "turns": turns}, indent=1) + "\n", encoding="utf-8")
        (folder / "few_shot.md").write_text(markdown(command, turns), encoding="utf-8")
    print((folder / "few_shot.md").read_text(encoding="utf-8"), end="")


def drawn(files: Mapping[str, str], shots: int, draw: int, test_rows: int) -> tuple[Rows, Rows]:
    """So many training rows of each label, or all it has, and some test rows, which are always the same."""
    data = nt.DataOptions(train_file=files["train"], test_file=files["test"], validation_split_percentage=0.0)
    splits = nt.load_splits(data, "classification")
    assert splits.test is not None
    train, test = (part.data.to_pandas()[["text", "label"]] for part in (splits.train, splits.test))
    parts = [rows.sample(min(shots, len(rows)), random_state=draw) for _, rows in train.groupby("label")]
    test = test[test["label"].isin(train["label"].unique())].sample(frac=1, random_state=0)[:test_rows]
    return pd.concat(parts).to_dict("records"), test.to_dict("records")


def ours(train: Rows, test: Rows, seed: int, options: FewShotOptions, tune_encoder: bool = True) -> Turn:
    """`nt.fit` with few_shot, and nothing else set."""
    started = time.perf_counter()
    all_train = nt.DataOptions(validation_split_percentage=0.0)
    splits = nt.splits_from(pd.DataFrame(train), test=pd.DataFrame(test), options=all_train)
    model = nt.TransferModel.load(options.model_name_or_path, nt.text_head_for(splits))
    strategy = nt.strategies.FewShot(tune_encoder=tune_encoder)
    nt.fit(model, splits, nt.TrainingOptions(seed=seed), strategy=strategy)
    seconds = time.perf_counter() - started
    predictions = model.predict([row["text"] for row in test])
    names = list(model.head.labels)
    return scored(names, [[p.probabilities[name] for name in names] for p in predictions], test, seconds)


def head_alone(train: Rows, test: Rows, seed: int, options: FewShotOptions) -> Turn:
    """The head of few_shot on the encoder as it is."""
    return ours(train, test, seed, options, tune_encoder=False)


def setfit(train: Rows, test: Rows, seed: int, options: FewShotOptions) -> Turn:
    """SetFit with its defaults, in its own environment."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Path(scratch) / "job.json"
        encoder = Checkpoint.find(options.model_name_or_path).source
        job.write_text(json.dumps({"train": train, "test": test, "seed": seed, "encoder": encoder}), encoding="utf-8")
        script = Path(__file__).with_name("setfit_turn.py")
        assert options.setfit_python
        child = subprocess.run([options.setfit_python, str(script), str(job)], capture_output=True, text=True)
        if child.returncode:
            raise nt.UserError(f"SetFit failed: {(child.stderr.strip().splitlines() or ['it printed nothing'])[-1]}")
        result = json.loads(child.stdout.strip().splitlines()[-1])
    return scored(result["labels"], result["probabilities"], test, result["seconds"])


def scored(names: Sequence[str], probabilities: Sequence[Sequence[float]], test: Rows, seconds: float) -> Turn:
    """Accuracy and calibration error of probabilities, in the order of `names`."""
    values = np.array(probabilities)
    right = values.argmax(axis=1) == np.array([names.index(row["label"]) for row in test])
    error = expected_calibration_error(np.clip(values.max(axis=1), 0, 1), right, bins=10)
    return {"accuracy": float(right.mean()), "calibration_error": float(error), "seconds": seconds}


def markdown(command: str, turns: Sequence[Turn]) -> str:
    """A table of each score: a row for each set and number of rows, a column for each way."""
    ways = list(dict.fromkeys(turn["way"] for turn in turns))
    lines = ["# Few rows a label", "", f"    {command}", ""]
    for title, name, factor, form in (
        ("Accuracy", "accuracy", 100, ".1f"), ("Calibration error", "calibration_error", 100, ".1f"),
        ("Seconds", "seconds", 1, ".0f"),
    ):  # fmt: skip
        lines += [f"## {title}, mean (draws)", "", f"| set | rows a label | {' | '.join(ways)} |"]
        lines.append(f"|---|--:|{'--:|' * len(ways)}")
        for group in sorted({(turn["set"], turn["shots"]) for turn in turns}):
            cells = []
            for way in ways:
                own = [turn[name] for turn in turns if (turn["set"], turn["shots"], turn["way"]) == (*group, way)]
                cells.append(f"{factor * statistics.mean(own):{form}} ({len(own)})" if own else "")
            lines.append(f"| {group[0]} | {group[1]} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    nt.run_recipe(main)
