"""Two processes, or three, learn and score as one."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from accelerate import Accelerator
from conftest import RECIPES, review_lines, sentence_lines
from forking import in_processes
from safetensors.torch import load_file, save_file

import nlp_transfer as nt
from nlp_transfer.errors import Interrupted
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.training import fsdp, steps
from nlp_transfer.training.checkpointing.checkpoint_files import CheckpointFolder
from nlp_transfer.types import RunResult

ROWS, BATCH = 31, 6  # one row is left over for two processes, or three


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
    folder: Path, checkpoint: str, task: str, strategy: str, batch_size: int, cache: str, accumulation: int = 1
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
        num_train_epochs=2, per_device_train_batch_size=batch_size, mixed_precision="no", warmup_ratio=0.06,
        learning_rate=1e-12 if task == "collapse" else 4e-4, restart_on_collapse=int(task == "collapse"),
        gradient_accumulation_steps=accumulation, sampling="balanced" if task == "windows" else "natural",
    )  # fmt: skip
    source = {"source_file": path} if strategy == "replay" else {}
    chosen = nt.strategy_named(strategy, **OPTIONS.get(strategy, {}), **source)
    chosen = {"unsound": Unsound(), "short": Short(within="backward")}.get(task, chosen)
    return model, nt.fit(model, splits, options, strategy=chosen, cache=nt.CacheOptions(str(folder / cache)))


class Unsound(nt.strategies.Full):
    """The third step is not taken, for the loss of one of its parts is no number."""

    def loss(self, *arguments: Any) -> torch.Tensor:
        part = arguments[-1]
        loss = super().loss(*arguments)
        return loss * math.nan if (part.step, part.index) == (3, part.of - 1) else loss


@dataclass
class Short(nt.strategies.Full):
    """The second of two processes has no room for its share of a batch as a whole."""

    within: str = "forward"

    def loss(self, model: nt.TransferModel, module: Any, batch: Any, labels: torch.Tensor, part: Any) -> torch.Tensor:
        loss = super().loss(model, module, batch, labels, part)
        if os.environ.get("RANK") == "1" and part.of == 2:
            if self.within == "forward":
                raise torch.OutOfMemoryError(NO_ROOM)
            lowest = min(model.network.named_parameters(), key=lambda named: "layer.0." not in named[0])[1]
            self.hook = lowest.register_hook(self.run_out)
        return loss

    def run_out(self, gradient: torch.Tensor) -> NoReturn:
        """When the layers above have their gradients."""
        self.hook.remove()
        raise torch.OutOfMemoryError(NO_ROOM)


NO_ROOM = "CUDA out of memory. Tried to allocate 2.00 GiB"
OPTIONS: dict[str, dict[str, Any]] = {"freeze": {"trainable_layers": 1}, "head_then_full": {"head_epochs": 2}}
FEW = [("classification", "full"), ("ner", "full")]
OTHERS = [("classification", name) for name, kind in STRATEGIES.items() if name != "full" and kind.sums_over_rows] + [
    ("ner", "freeze")
]
OTHERS += [("several", "full"), ("number", "full"), ("windows", "full"), ("windows", "freeze")]
OTHERS += [("collapse", "full"), ("unsound", "full"), ("short", "full")]
IN_SHARDS = [("classification", "full", 1), ("ner", "full", 3)]
IN_SHARDS += [("unsound", "full", 1), ("classification", "gradual", 1), ("classification", "lora", 1)]
FILES = dict.fromkeys(("classification", "collapse", "unsound", "short"), "reviews.csv") | {"ner": "sentences.conll"}
COLUMNS = {
    "several": {"label_column_name": "several"},
    "number": {"label_column_name": "number", "problem": "regression"},
    "windows": {"text_column_name": "longer", "label_column_name": "label"},
}


def ways(runs: str, processes: int) -> list[tuple[str, str, int]]:
    """Tasks, strategies, and parts of a step that a process learns from one after another."""
    return {
        "few": [(*run, parts) for parts in (1, BATCH // processes) for run in FEW],
        "others": [(*run, 1) for run in OTHERS],
        "in shards": IN_SHARDS,
    }[runs]


def write(path: Path, model: nt.TransferModel, result: RunResult) -> None:
    weights = {name: parameter.detach().clone() for name, parameter in model.network.named_parameters()}
    save_file(weights, path.with_suffix(".safetensors"))
    path.with_suffix(".json").write_text(json.dumps(vars(result) | {"options": asdict(result.options)}))


def assert_as(path: Path, model: nt.TransferModel, result: RunResult) -> None:
    """What was written to `path` is what one process came to."""
    theirs = load_file(path.with_suffix(".safetensors"))
    for name, weight in model.network.named_parameters():
        assert (theirs.pop(name) - weight.detach()).abs().max() < 1e-5, name
    assert theirs == {}
    said = json.loads(path.with_suffix(".json").read_text())
    assert (said["steps"], said["restarts"]) == (result.steps, result.restarts)
    assert said["best_score"] == pytest.approx(result.best_score, abs=1e-6)
    for mine, other in zip(result.history, said["history"], strict=True):
        assert other == pytest.approx(dict(mine), abs=1e-5)


def assert_saved_as(folder: Path, model: nt.TransferModel) -> None:
    saved = nt.TransferModel.load(folder)
    texts = [["Ann", "was"], ["was"]] if model.head.task == "ner" else ["the hotel was warm", "cold"]
    for one, other in zip(model.predict(texts, 4, "no"), saved.predict(texts, 4, "no"), strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-5)


@pytest.mark.parametrize(
    ("runs", "processes"),
    [
        ("few", 2),
        pytest.param("few", 3, marks=pytest.mark.whole),
        pytest.param("others", 2, marks=pytest.mark.whole),
        pytest.param("in shards", 2, marks=pytest.mark.whole),
    ],
)
def test_the_number_of_processes_changes_nothing(checkpoint, tmp_path, runs, processes):
    """With and without accumulation, of which one process does as much as all of them."""
    write_rows(tmp_path)
    in_processes(processes, tmp_path, Path(__file__), str(tmp_path), checkpoint(), runs)
    kept = {path.name for path in (tmp_path / "of many").glob("*")}
    for task, strategy, accumulation in ways(runs, processes):
        model, result = train(tmp_path, checkpoint(), task, strategy, BATCH // accumulation, "of one", accumulation)
        assert_as(tmp_path / f"{task}-{strategy}-{accumulation}", model, result)
        if runs == "few":
            assert_as(tmp_path / f"{task}-{strategy}-1", model, result)
        if runs == "in shards":
            assert_saved_as(tmp_path / f"{task}-{strategy}-{accumulation}", model)
        assert result.restarts == (task == "collapse")
        assert result.steps == {"head_then_full": 24, "gradual": 24, "features": 0}.get(strategy, 12)
    assert {path.name for path in (tmp_path / "of one").glob("*")} == kept  # they filled one set of files


def test_every_test_row_is_scored_once(checkpoint, training_flags, reviews, tmp_path):
    write_rows(tmp_path)
    files = ["--train_file", reviews["train"], "--validation_file", reviews["validation"]]
    flags = [*files, "--test_file", "reviews.csv", *training_flags, "--strategy", "full", "--output_dir", "run",
             "--verify", "false"]  # fmt: skip
    run = in_processes(2, tmp_path, RECIPES / "classify.py", *flags)
    assert run.stdout.count(f"test ({ROWS} rows)") == 1
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


def test_one_that_is_told_to_stop_stops_both_and_both_resume(checkpoint, tmp_path):
    write_rows(tmp_path)
    in_processes(2, tmp_path, Path(__file__), str(tmp_path), checkpoint(), "resume")


def stop_and_resume(folder: Path, checkpoint: str) -> None:
    """One of two processes is told to stop: both do, after the same step, and go on as if they had not.

    One of them has run out of memory in the first step: both have taken it again in two parts, and do so with all after
    it, those that are taken when the run goes on included.
    """
    path = str(folder / "reviews.csv")
    splits = nt.load_splits(nt.DataOptions(train_file=path, validation_file=path), "classification")
    accelerator, update = nt.make_accelerator(nt.TrainingOptions(mixed_precision="no")), steps._update

    def fit(resume: str | None, name: str, strategy: Any = "full", parts: int = 1) -> tuple[Any, RunResult]:
        nt.set_seed(0)
        head = nt.TextClassificationHead.for_splits(splits, pooling="mean", dropout=0.3)
        model = nt.TransferModel.load(checkpoint, head)
        options = nt.TrainingOptions(num_train_epochs=2, per_device_train_batch_size=4 // parts, mixed_precision="no",
                                     gradient_accumulation_steps=parts)  # fmt: skip
        result = nt.fit(model, splits, options, accelerator, strategy, checkpoints=folder / name, resume=resume)
        return {n: p.detach().clone() for n, p in model.network.named_parameters()}, result

    def told_to_stop(trainer: steps.Trainer) -> torch.Tensor:
        if accelerator.process_index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(trainer)

    whole, _ = fit(None, "whole")
    unbroken, expected = fit(None, "others", parts=2)
    assert any(not torch.equal(whole[name], unbroken[name]) for name in unbroken)  # dropout was drawn otherwise
    for within in ("forward", "backward"):
        short, result = fit(None, "short", Short(within=within))
        assert all(torch.equal(short[name], unbroken[name]) for name in unbroken), within
        assert result.history == expected.history
    steps._update = told_to_stop
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 1;"):
        fit(None, "checkpoints", Short())
    steps._update = update
    saved = CheckpointFolder(folder / "checkpoints").newest()
    assert saved
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Short, "loss", nt.strategies.Full.loss)
        resumed, result = fit("", "checkpoints", Short())
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    assert result.history == expected.history
    one, two = (saved.tensors(f"process-{rank}")["torch"] for rank in (0, 1))
    assert not one.equal(two)  # dropout differs between them


def train_in_shards(folder: Path, checkpoint: str) -> None:
    """The same again, where the launcher asks for FSDP."""
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    held, of = [], fsdp.Shards.of

    def noted(network: Any, accelerator: Accelerator) -> fsdp.Shards:
        held.append(made := of(network, accelerator))
        return made

    fsdp.Shards.of = noted  # type: ignore[method-assign]
    for task, strategy, accumulation in IN_SHARDS:
        os.environ["FSDP_RESHARD_AFTER_FORWARD"] = str(task != "ner").lower()
        held.clear()
        model, result = train(folder, checkpoint, task, strategy, 3 // accumulation, "of many", accumulation)
        for some in held:
            whole, mine = (sum(p.numel() for p in weights) for weights in (
                some.module.parameters(), [p.to_local() for p in some.module.parameters()],
            ))  # fmt: skip
            assert mine < 0.6 * whole
        assert len(held) == {"gradual": 3}.get(strategy, 1)
        if Accelerator().is_main_process:
            path = folder / f"{task}-{strategy}-{accumulation}"
            write(path, model, result)
            model.save(path)


def main(folder: Path, checkpoint: str, runs: str) -> None:
    """What each of the processes does."""
    if runs == "resume":
        stop_and_resume(folder, checkpoint)
    elif runs == "in shards":
        train_in_shards(folder, checkpoint)
    else:
        train_and_write(folder, checkpoint, runs)
    torch.distributed.destroy_process_group()


def train_and_write(folder: Path, checkpoint: str, runs: str) -> None:
    """Train, and let the first process write what came out."""
    processes = int(os.environ["WORLD_SIZE"])
    for task, strategy, accumulation in ways(runs, processes):
        batch = BATCH // processes // accumulation
        model, result = train(folder, checkpoint, task, strategy, batch, "of many", accumulation)
        if Accelerator().is_main_process:
            assert Accelerator().num_processes == processes
            write(folder / f"{task}-{strategy}-{accumulation}", model, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
