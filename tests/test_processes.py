"""Two processes learn and score as one."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from conftest import RECIPES, review_lines, sentence_lines
from forking import Said, in_processes
from safetensors.torch import load_file, save_file

import nlp_transfer as nt
from nlp_transfer import updates
from nlp_transfer.checkpoint import Checkpoints
from nlp_transfer.errors import Interrupted
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.types import RunResult

ROWS = 61  # in batches of 6: one is left over for two processes


def in_two_processes(folder: Path, script: Path, *arguments: str) -> Said:
    return in_processes(2, folder, script, *arguments)


def write_rows(folder: Path) -> None:
    reviews = "text,label\n" + "".join(f"{text},{label}\n" for text, label in review_lines(ROWS))
    (folder / "reviews.csv").write_text(reviews)
    with open(folder / "problems.jsonl", "w") as file:
        for i, (text, label) in enumerate(review_lines(ROWS)):
            several = [label] + ["travel"] * ("hotel" in text)
            longer = text + " and the street was cold" * (i % 4)
            row = {
                "text": text,
                "longer": longer,
                "label": label,
                "several": several,
                "number": (4 if label == "praise" else 1) + i % 7 / 10,
            }
            file.write(json.dumps(row) + "\n")
    sentences = ["".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in sentence_lines(ROWS)]
    (folder / "sentences.conll").write_text("\n".join(sentences))


def train(
    folder: Path, checkpoint: str, task: str, strategy: str, batch_size: int, cache: str
) -> tuple[nt.TransferModel, RunResult]:
    """Two epochs in fp32; the tiny encoder has no dropout, which is the one thing that processes do differently."""
    path = str(folder / FILES.get(task, "problems.jsonl"))
    data = nt.DataOptions(train_file=path, validation_file=path, **COLUMNS.get(task, {}))
    splits = nt.load_splits(data, "ner" if task == "ner" else "classification")
    head: nt.TaskHead
    if task == "ner":
        head, splits = nt.NERHead.for_splits(splits)
    else:
        head = nt.text_head_for(splits, long_texts="window" if task == "windows" else "truncate")
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint, head, max_length=12 if task == "windows" else None)
    options = nt.TrainingOptions(
        num_train_epochs=2, per_device_train_batch_size=batch_size, learning_rate=1e-3, mixed_precision="no",
        sampling="balanced" if task == "windows" else "natural",
    )  # fmt: skip
    source = {"source_file": path} if strategy == "replay" else {}
    chosen = nt.strategy_named(strategy, **OPTIONS.get(strategy, {}), **source)
    return model, nt.fit(model, splits, options, strategy=chosen, cache=nt.CacheOptions(str(folder / cache)))


OPTIONS: dict[str, dict[str, Any]] = {"freeze": {"trainable_layers": 1}, "head_then_full": {"head_epochs": 2}}
RUNS = [("classification", strategy) for strategy in STRATEGIES] + [("ner", "full"), ("ner", "freeze")]
RUNS += [("several", "full"), ("number", "full"), ("windows", "full"), ("windows", "freeze")]
FILES = {"classification": "reviews.csv", "ner": "sentences.conll"}
COLUMNS = {
    "several": {"label_column_name": "several"},
    "number": {"label_column_name": "number", "problem": "regression"},
    "windows": {"text_column_name": "longer", "label_column_name": "label"},
}


def test_the_number_of_processes_changes_nothing(checkpoint, tmp_path):
    write_rows(tmp_path)
    in_two_processes(tmp_path, Path(__file__), str(tmp_path), checkpoint())
    kept = {path.name for path in (tmp_path / "of two").iterdir()}
    for task, strategy in RUNS:
        model, result = train(tmp_path, checkpoint(), task, strategy, batch_size=6, cache="of one")
        theirs = load_file(tmp_path / f"{task}-{strategy}.safetensors")
        for name, weight in model.network.named_parameters():
            assert (theirs.pop(name) - weight.detach()).abs().max() < 1e-5, name
        assert theirs == {}
        said = json.loads((tmp_path / f"{task}-{strategy}.json").read_text())
        assert said["steps"] == result.steps == {"head_then_full": 44, "gradual": 44, "features": 0}.get(strategy, 22)
        assert said["best_score"] == pytest.approx(result.best_score, abs=1e-6)
        for mine, other in zip(result.history, said["history"], strict=True):
            assert other == pytest.approx(dict(mine), abs=1e-5)
    assert {path.name for path in (tmp_path / "of one").iterdir()} == kept  # two processes filled one set of files


def test_every_test_row_is_scored_once(checkpoint, training_flags, reviews, tmp_path):
    write_rows(tmp_path)
    files = ["--train_file", reviews["train"], "--validation_file", reviews["validation"]]
    flags = [*files, "--test_file", "reviews.csv", *training_flags, "--output_dir", "run", "--verify", "false"]
    run = in_two_processes(tmp_path, RECIPES / "classify.py", *flags)
    assert run.stdout.count("test (61 rows)") == 1
    assert run.stderr.count("The run is in run.") == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(ROWS))
    assert [line["gold"] for line in lines] == [label for _, label in review_lines(ROWS)]
    assert sorted(os.listdir(tmp_path)) == ["problems.jsonl", "reviews.csv", "run", "sentences.conll"]

    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["train"]["steps"] == 8  # two epochs of 64 rows, 16 at a time
    options = nt.DataOptions(
        train_file=reviews["train"], validation_file=reviews["validation"], test_file=str(tmp_path / "reviews.csv")
    )
    splits = nt.load_splits(options, "classification")
    model = nt.TransferModel.load(tmp_path / "run")
    alone = RunResult(metric="accuracy", best_score=0, best_epoch=0, steps=0, seconds=0, rows_per_second=0)
    report = nt.evaluate_run(model, splits, alone, Accelerator())
    assert report
    for name, scores in report.scores.items():
        assert metrics[name].pop("loss") == pytest.approx(scores.pop("loss"), abs=1e-6)
        assert metrics[name] == scores
    for line, prediction in zip(lines, report.predictions, strict=True):
        assert line["predicted"] == prediction.label
        assert abs(line["probability"] - prediction.probability) < 1e-6


def stop_and_resume(folder: Path, checkpoint: str) -> None:
    """One of two processes is told to stop: both do, after the same step, and go on as if they had not."""
    path = str(folder / "reviews.csv")
    splits = nt.load_splits(nt.DataOptions(train_file=path, validation_file=path), "classification")
    accelerator, update = nt.make_accelerator(nt.TrainingOptions(mixed_precision="no")), updates._update

    def fit(resume: str | None, name: str) -> tuple[dict[str, torch.Tensor], RunResult]:
        nt.set_seed(0)
        head = nt.TextClassificationHead.for_splits(splits, pooling="mean", dropout=0.3)
        model = nt.TransferModel.load(checkpoint, head)
        options = nt.TrainingOptions(num_train_epochs=2, per_device_train_batch_size=3, mixed_precision="no")
        result = nt.fit(model, splits, options, accelerator, checkpoints=folder / name, resume=resume)
        return {n: p.detach().clone() for n, p in model.network.named_parameters()}, result

    def told_to_stop(trainer: updates.Trainer) -> torch.Tensor:
        if accelerator.process_index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(trainer)

    unbroken, expected = fit(None, "others")
    updates._update = told_to_stop
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 1;"):
        fit(None, "checkpoints")
    updates._update = update
    resumed, result = fit("", "checkpoints")
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    assert result.history == expected.history
    saved = Checkpoints(folder / "checkpoints").newest()
    assert saved
    one, two = (saved.tensors(f"process-{rank}")["torch"] for rank in (0, 1))
    assert not one.equal(two)  # dropout differs between them


def main(folder: Path, checkpoint: str) -> None:
    """What each of the two processes does: train, and let the first one write what came out."""
    stop_and_resume(folder, checkpoint)
    for task, strategy in RUNS:
        model, result = train(folder, checkpoint, task, strategy, batch_size=3, cache="of two")
        if Accelerator().is_main_process:
            assert Accelerator().num_processes == 2
            save_file(
                {n: p.detach().clone() for n, p in model.network.named_parameters()},
                folder / f"{task}-{strategy}.safetensors",
            )
            (folder / f"{task}-{strategy}.json").write_text(json.dumps(vars(result)))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
