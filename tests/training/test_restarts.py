"""A run that has collapsed begins again, and is then the run that another seed would have been."""

from __future__ import annotations

import copy
import json
import os
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from conftest import run_recipe

import nlp_transfer as nt
from nlp_transfer.data.read_rows import read_classification
from nlp_transfer.data.splits import Splits
from nlp_transfer.training import steps
from nlp_transfer.training.collapse import Collapse
from nlp_transfer.training.restarts import Attempt, Collapsed, with_restarts
from nlp_transfer.types import RunResult


@pytest.fixture(autouse=True)
def collapsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts with the seeds 5 and 6 collapse in their second epoch, unless they are the last."""

    def observe(
        collapse: Collapse, outputs: Any, labels: Any, loss: float, epoch: float, *, remedy: str, **_: Any
    ) -> None:
        collapse.is_detected = epoch == 2 and remedy.endswith(("--seed 6.", "--seed 7."))

    monkeypatch.setattr(Collapse, "observe", observe)


def trained(
    splits: Splits, encoder: str, seed: int, strategy: nt.Strategy | str = "full", keep_head: bool = False, **told: Any
) -> tuple[dict[str, torch.Tensor], RunResult]:
    """What a recipe with this seed would come to."""
    nt.set_seed(seed)
    head = nt.TextClassificationHead.for_splits(splits, pooling="mean", hidden=(8,), dropout=0.2)
    model = nt.TransferModel.load(encoder, head, keep_head=keep_head)
    names = ("checkpoints", "resume", "cache", "accelerator")
    checkpoints, resume, cache, accelerator = (told.pop(name, None) for name in names)
    options = nt.TrainingOptions(
        seed=seed, num_train_epochs=2, per_device_train_batch_size=8, learning_rate=3e-3, mixed_precision="no", **told
    )
    result = nt.fit(model, splits, options, accelerator, strategy, cache, checkpoints, resume)
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}, result


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


STRATEGIES: dict[str, dict[str, Any]] = {"gradual": {}, "scratch": {}, "replay": {}, "lora": {}}
STRATEGIES["lora"] = {"init_lora_weights": "pissa", "merge_adapter": True}  # which changes the network most


@pytest.mark.thinned(0.5)
@pytest.mark.parametrize("name", STRATEGIES)
def test_it_ends_as_a_run_with_the_next_seed(review_splits, reviews, checkpoint, tmp_path, name):
    source = {"source_file": reviews["train"]} if name == "replay" else {}
    found = []
    for seed, restarts in ((5, 3), (7, 0)):
        strategy = nt.strategy_named(name, **STRATEGIES[name], **source)
        told = {"restart_on_collapse": restarts, "cache": nt.CacheOptions(str(tmp_path))}
        found.append(trained(review_splits, checkpoint(), seed, strategy, **told))
    (weights, result), (others, expected) = found
    assert same(weights, others)
    assert result.history == expected.history
    assert (result.seed, result.restarts) == (7, 2)
    assert (expected.seed, expected.restarts) == (7, 0)


def test_no_attempt_is_spared_the_pass_of_the_one_before(review_splits, checkpoint, tmp_path):
    cache = nt.CacheOptions(str(tmp_path))
    spared = [trained(review_splits, checkpoint(), 5, "gradual", restart_on_collapse=3, cache=cache)[1].seconds_spared
              for _ in range(2)]  # fmt: skip
    passes = {}  # of each set of rows
    for file in tmp_path.glob("*/meta.json"):
        meta = json.loads(file.read_text())
        passes[meta["tokens"]] = meta["seconds"]
    assert abs(spared[0]) < 0.02
    assert spared[1] == pytest.approx(sum(passes.values()))


def test_the_scale_of_fp16_begins_again_too(review_splits, checkpoint, monkeypatch):
    accelerator = nt.make_accelerator(nt.TrainingOptions(mixed_precision="no"))
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
    scales = []
    monkeypatch.setattr(nt.strategies.Full, "setup", lambda *_: scales.append(accelerator.scaler.get_scale()))
    trained(review_splits, checkpoint(), 6, restart_on_collapse=1, accelerator=accelerator)
    assert scales == [4.0, 4.0]
    assert accelerator.scaler.get_scale() > 4.0


def test_a_network_that_has_collapsed_is_gone_before_another_is_made(review_splits, checkpoint, monkeypatch):
    model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(review_splits))
    options = nt.TrainingOptions(restart_on_collapse=2, mixed_precision="no")
    deepcopy, collapsed, is_gone = copy.deepcopy, weakref.ref(model.network), []

    def train(attempt: Attempt, saved: None) -> Attempt:
        if attempt.number:
            return attempt
        monkeypatch.setattr(copy, "deepcopy", lambda *args: is_gone.append(collapsed() is None) or deepcopy(*args))
        raise Collapsed(steps=7)

    attempt = with_restarts(train, model, options, nt.make_accelerator(options), None)
    assert (attempt.number, attempt.earlier_steps, attempt.is_last) == (1, 7, False)
    assert is_gone
    assert all(is_gone)


def test_of_an_earlier_head_is_kept_what_was(review_splits, checkpoint, tmp_path):
    lines = "text,label\n" + "the hotel was warm,praise\nthe hotel was cold,other\n" * 8
    (tmp_path / "earlier.csv").write_text(lines)
    earlier = Splits(read_classification(str(tmp_path / "earlier.csv")), None, None)
    nt.set_seed(0)
    head = nt.TextClassificationHead.for_splits(earlier, pooling="mean", hidden=(8,))
    nt.TransferModel.load(checkpoint(), head).save(tmp_path / "model")
    weights, _ = trained(review_splits, str(tmp_path / "model"), 5, keep_head=True, restart_on_collapse=3)
    assert same(weights, trained(review_splits, str(tmp_path / "model"), 7, keep_head=True)[0])


class KilledError(BaseException):
    """What stands for kill -9."""


def kill(patch: pytest.MonkeyPatch, step: int) -> None:
    update, calls = steps._update, 0

    def counted(trainer: steps.Trainer) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KilledError
        return update(trainer)

    patch.setattr(steps, "_update", counted)


def test_a_run_that_goes_on_knows_which_attempt_it_is(review_splits, checkpoint, tmp_path, monkeypatch):
    """Killed in the first attempt of 16 steps, and in the second; then the second's only checkpoint is damaged."""
    told = {"restart_on_collapse": 1, "checkpoint_every": ["5 steps"]}
    expected = trained(review_splits, checkpoint(), 6, **told, checkpoints=tmp_path / "others")
    folder, logged = tmp_path / "checkpoints", []
    monkeypatch.setattr(Accelerator, "log", lambda accelerator, values, step: logged.append(step))
    for step, kept in ((8, [5]), (6 + 11, [15, 21])):
        with monkeypatch.context() as patch:
            kill(patch, step)
            with pytest.raises(KilledError):
                trained(review_splits, checkpoint(), 6, **told, checkpoints=folder, resume="")
        assert sorted(int(path.name.removeprefix("step-")) for path in folder.iterdir()) == kept
    assert json.loads((folder / "step-00000021" / "values.json").read_text())["resume_point"]["attempt"] == 1
    os.truncate(folder / "step-00000021" / "weights.safetensors", 9)
    for _ in range(2):  # from the first attempt, which collapses again; and from the last checkpoint of the second
        logged.clear()
        weights, result = trained(review_splits, checkpoint(), 6, **told, checkpoints=folder, resume="")
        assert same(weights, expected[0])
        assert (result.history, result.seed) == (expected[1].history, 7)
        assert logged == sorted(logged)  # some trackers would leave out others
    with pytest.raises(nt.OptionError, match="--restart_on_collapse was 1 and is 0"):
        trained(review_splits, checkpoint(), 6, checkpoints=folder, resume="")


def test_where_all_collapse_the_last_is_kept_and_the_run_says_so(task_flags, training_flags, monkeypatch, tmp_path):
    monkeypatch.undo()  # a network that learns nothing gives all rows one label indeed
    flags = [*task_flags["classify"], *training_flags, "--learning_rate", "1e-12", "--restart_on_collapse", "2"]
    outcome = run_recipe("classify", [*flags, "--output_dir", "run", "--verify", "false"], tmp_path)
    assert outcome.status == 0
    said = [line for line in outcome.err.splitlines() if "Collapsed or untrained: " in line]
    assert [line.rpartition("). ")[2] for line in said] == [
        "Restarting from the pretrained weights with --seed 1.",
        "Restarting from the pretrained weights with --seed 2.",
        "All 2 attempts before it collapsed too, and this one is kept. Try a smaller --learning_rate, a longer "
        "--warmup_ratio, --mixed_precision no, or more epochs.",
    ]
    assert read(tmp_path / "run" / "transfer.json")["seed"] == 2
    assert read(tmp_path / "run" / "transfer.json")["options"]["seed"] == 0
    train = read(tmp_path / "run" / "metrics.json")["train"]
    assert (train["seed"], train["restarts"], train["steps"]) == (2, 2, 16)
    assert "restart_on_collapse: 2\n" in (tmp_path / "run" / "options.yaml").read_text()


def read(path: Path) -> Any:
    return json.loads(path.read_text())
