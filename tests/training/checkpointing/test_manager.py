"""A run that was stopped goes on as if it had not been, to the last bit."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import save_tiny_encoder

import nlp_transfer as nt
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import Interrupted
from nlp_transfer.training import stage, steps
from nlp_transfer.training.checkpointing import checkpoint_files as on_disk
from nlp_transfer.types import RunResult


class KilledError(BaseException):
    """What stands for kill -9: nothing in the package catches it to go on."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny encoder with dropout, which draws random numbers in each step."""
    folder = tmp_path_factory.mktemp("encoder")
    save_tiny_encoder(folder, "bert")
    config = json.loads((folder / "config.json").read_text())
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (folder / "config.json").write_text(json.dumps(config | dropout))
    return str(folder)


def fresh(encoder: str, splits: Splits, task: str = "classification") -> tuple[nt.TransferModel, Splits]:
    head: nt.TaskHead
    if task == "ner":
        head, splits = nt.NERHead.for_splits(splits)
    else:
        head = nt.TextClassificationHead.for_splits(splits)
    nt.set_seed(0)
    return nt.TransferModel.load(encoder, head), splits


def weights(model: nt.TransferModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def killing(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int) -> None:
    """Let a function raise KilledError in one of its calls, before it does anything."""
    whole, calls = getattr(module, name), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KilledError
        return whole(*arguments, **options)

    monkeypatch.setattr(module, name, counted)


Kill = tuple[Any, str, int]


def stopped_and_resumed(fit: Callable[[str | None], Any], kills: Sequence[Kill]) -> Any:
    """What `fit` gives after it has been killed at each of `kills`, and gone on each time."""
    for i, kill in enumerate(kills):
        with pytest.MonkeyPatch.context() as patch:
            killing(patch, *kill)
            with pytest.raises(KilledError):
                fit("" if i else None)
    return fit("")


STRATEGIES: dict[str, dict[str, Any]] = {
    "full": {}, "freeze": {"trainable_layers": 1}, "gradual": {}, "lora": {}, "l2sp": {},
    "head_then_full": {"head_epochs": 1}, "replay": {}, "few_shot": {},
}  # fmt: skip
IN_BF16 = ("head_then_full",)  # a later stage once trained in fp32 unless the run was resumed in it
CASES = [("classification", name) for name in STRATEGIES] + [
    ("ner", "full"),
    ("ner", "freeze"),
    ("ner", "gradual"),
    ("ner", "few_shot"),
]


@pytest.mark.thinned(0.4)
@pytest.mark.usefixtures("other_accelerators")
@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    encoder, review_splits, sentence_splits, sentences, reviews, options, tmp_path, task, name
):
    """Killed in the middle of an epoch, in a later stage, and while a checkpoint is written, with accumulation."""
    precision = "bf16" if name in IN_BF16 else "no"
    told = replace(options, per_device_train_batch_size=4, gradient_accumulation_steps=2, checkpoint_every=["3 steps"],
                   mixed_precision=precision)  # fmt: skip
    source = {"source_file": reviews["train"]} if name == "replay" else {}

    def fit(resume: str | None, folder: str = "checkpoints") -> tuple[dict[str, torch.Tensor], RunResult]:
        model, splits = fresh(encoder, sentence_splits if task == "ner" else review_splits, task)
        strategy = nt.strategy_named(name, **STRATEGIES[name], **source)
        result = nt.fit(model, splits, told, strategy=strategy, cache=nt.CacheOptions(str(tmp_path / "cache")),
                        checkpoints=tmp_path / folder, resume=resume)  # fmt: skip
        return weights(model), result

    unbroken, expected = fit(None, "others")
    assert expected.steps == {"gradual": 32, "head_then_full": 24}.get(name, 16)
    kills = [(steps, "_update", 5), (on_disk, "_digest", 14), (steps, "_update", 8)]
    resumed, result = stopped_and_resumed(fit, kills)
    assert same(resumed, unbroken)
    assert result.history == expected.history
    assert (result.best_score, result.best_epoch, result.trained_weights) == (
        expected.best_score, expected.best_epoch, expected.trained_weights
    )  # fmt: skip


def posed(kind: str, rows: Rows) -> Rows:
    """The reviews with several labels, with a number, or mostly too long for the encoder."""
    praise = [label == "praise" for label in rows.data["label"]]
    texts = rows.data["text"][:]
    if kind == "windows":
        longer = [text + " and the street was cold" * (i % 4) for i, text in enumerate(texts)]
        return replace(rows, data=rows.data.remove_columns("text").add_column("text", longer))
    several = [["praise"] * good + ["travel"] * ("hotel" in text) for good, text in zip(praise, texts, strict=True)]
    numbers = [100.0 * good + i % 7 for i, good in enumerate(praise)]
    return replace(
        rows, data=rows.data.remove_columns("label").add_column("label", numbers if kind == "number" else several)
    )


@pytest.mark.parametrize("kind", ["several", "number", "windows"])
def test_a_run_of_any_problem_ends_as_one_that_was_not_killed(encoder, review_splits, options, tmp_path, kind):
    """With thresholds that are fitted at the end, a rate of its own for the last layer, or windows drawn by label."""
    splits = review_splits.each(lambda rows: posed(kind, rows))
    told = replace(options, gradient_accumulation_steps=3, checkpoint_every=["3 steps"], seed=1,
                   sampling="natural" if kind == "number" else "balanced")  # fmt: skip
    shape = {"long_texts": "window", "window_pooling": "max"} if kind == "windows" else {}

    def fit(resume: str | None, folder: str = "checkpoints") -> tuple[dict[str, torch.Tensor], RunResult, Any]:
        nt.set_seed(0)
        model = nt.TransferModel.load(encoder, nt.text_head_for(splits, **shape), max_length=12)
        result = nt.fit(model, splits, told, checkpoints=tmp_path / folder, resume=resume)
        return weights(model), result, model.head.options()

    unbroken, expected, head = fit(None, "others")
    resumed, result, same_head = stopped_and_resumed(fit, [(steps, "_update", 2), (steps, "_update", 4)])
    assert same(resumed, unbroken)
    assert (result.history, same_head) == (expected.history, head)
    assert kind != "several" or set(head["thresholds"].values()) != {0.5}


Fit = Callable[..., tuple[dict[str, torch.Tensor], RunResult]]


def fits_in(home: Path, encoder: str, splits: Splits) -> Fit:
    """`fit(resume, **options)` trains a fresh network, with its checkpoints in `home / "checkpoints"`."""

    def fit(
        resume: str | None = None, folder: str = "checkpoints", strategy: nt.Strategy | str = "full", **more: Any
    ) -> tuple[dict[str, torch.Tensor], RunResult]:
        cache = more.pop("cache", nt.CacheOptions(str(home / "cache")))
        model, data = fresh(more.pop("encoder", encoder), more.pop("splits", splits))
        told = {"num_train_epochs": 2, "per_device_train_batch_size": 8, "learning_rate": 3e-3, "mixed_precision": "no"}
        options = nt.TrainingOptions(**told | {"warmup_ratio": 0.0, "checkpoint_every": ["3 steps"]} | more)
        result = nt.fit(model, data, options, strategy=strategy, cache=cache, checkpoints=home / folder, resume=resume)
        return weights(model), result

    return fit


@pytest.fixture
def fit(encoder, review_splits, tmp_path) -> Fit:
    return fits_in(tmp_path, encoder, review_splits)


@pytest.fixture(scope="module")
def unbroken(encoder, review_splits, tmp_path_factory) -> tuple[dict[str, torch.Tensor], RunResult]:
    """What `fit()` gives that nothing stops."""
    return fits_in(tmp_path_factory.mktemp("unbroken"), encoder, review_splits)()


def killed(fit: Fit, step: int, **more: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, steps, "_update", step)
        with pytest.raises(KilledError):
            fit(**more)


def kept(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").iterdir())


@pytest.mark.parametrize("what", ["weights", "optimizer", "process-0"])
def test_the_test_would_notice_what_is_forgotten(fit, unbroken, monkeypatch, what):
    killed(fit, 8)
    tensors = on_disk.SavedCheckpoint.tensors

    def forgetful(saved: on_disk.SavedCheckpoint, name: str) -> dict[str, torch.Tensor]:
        found = tensors(saved, name)
        if name == what:
            found = {key: torch.zeros_like(t) if t.is_floating_point() else t for key, t in found.items()}
            found |= {"torch": torch.get_rng_state()} if name == "process-0" else {}
        return found

    monkeypatch.setattr(on_disk.SavedCheckpoint, "tensors", forgetful)
    assert not same(fit(resume="")[0], unbroken[0])


@pytest.mark.parametrize(
    ("every", "steps"), [("5 steps", [10, 13]), ("1 epoch", [8, 13]), ("0.5 epochs", [12, 13]), ("1 step", [12, 13])]
)
def test_checkpoints_are_written_as_often_as_asked_and_at_the_end(fit, tmp_path, every, steps):
    fit(checkpoint_every=every.split(), max_train_steps=13)
    assert kept(tmp_path) == steps


def test_checkpoints_are_written_by_the_clock(fit, tmp_path, monkeypatch):
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 10.0  # seconds, each time that someone looks
        return now

    monkeypatch.setattr("nlp_transfer.training.checkpointing.manager.time.monotonic", clock)
    fit(checkpoint_every=["1 minute"], keep_checkpoints=9)
    steps = kept(tmp_path)
    assert len({b - a for a, b in itertools.pairwise(steps[:-1])}) == 1
    assert 2 <= len(steps) < 8


@pytest.mark.parametrize("said", ["often", "0 steps", "-1 steps", "5", "5 hours", "5 steps 3"])
def test_what_says_no_interval_is_one_line(said):
    with pytest.raises(nt.OptionError, match=f"--checkpoint_every must be a number and steps, .* got {said}"):
        nt.TrainingOptions(checkpoint_every=said.split())


PATIENCE = {"num_train_epochs": 9, "early_stopping_patience": 3, "learning_rate": 1e-2, "eval_steps": 2}


def test_a_batch_that_had_no_room_stays_in_parts(fit, monkeypatch):
    """Though there is room now, or dropout would be drawn otherwise; a run in parts from the start does the same."""
    loss, full = nt.strategies.Full.loss, []

    def once(strategy: Any, model: Any, module: Any, batch: Any, labels: torch.Tensor, part: Any) -> torch.Tensor:
        if part.step == full[-1] and len(labels) == 8:
            loss(strategy, model, module, batch, labels, part)  # which has drawn random numbers
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss(strategy, model, module, batch, labels, part)

    monkeypatch.setattr(nt.strategies.Full, "loss", once)
    full.append(1)
    halves = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    assert same(fit(folder="short")[0], fit(folder="halves", **halves)[0])
    full.append(4)
    unbroken, expected = fit(folder="others")
    killed(fit, 8)
    full.append(0)
    resumed, result = fit(resume="")
    assert same(resumed, unbroken)
    assert result.history == expected.history


def test_early_stopping_remembers(fit):
    """Killed after evaluations that were no better, and after the last one; the best is what it was."""
    unbroken, expected = fit(folder="others", **PATIENCE)
    assert expected.steps < 72
    for step in (expected.steps - 1, expected.steps):
        killed(fit, step, **PATIENCE)
        resumed, result = fit(resume="", **PATIENCE)
        assert same(resumed, unbroken)
        assert result.history == expected.history
        assert (result.steps, result.best_epoch) == (expected.steps, expected.best_epoch)


def signalled(monkeypatch: pytest.MonkeyPatch, number: int, step: int, times: int = 1) -> None:
    """Send this process a signal in the middle of a step."""
    update, calls = steps._update, 0

    def with_signal(trainer: steps.Trainer) -> torch.Tensor:
        nonlocal calls
        calls += 1
        for _ in range(times if calls == step else 0):
            os.kill(os.getpid(), number)
        return update(trainer)

    monkeypatch.setattr(steps, "_update", with_signal)


@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 5), (signal.SIGINT, 8), (signal.SIGTERM, 16)])
def test_a_signal_writes_a_checkpoint_after_the_step(fit, unbroken, tmp_path, number, step):
    """Without --checkpoint_every too; after step 8 and 16 the evaluation that is due is made when the run goes on."""
    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        signalled(patch, number, step)
        with pytest.raises(Interrupted, match=f"stopped by {number.name} after step {step}; --resume continues") as end:
            fit(checkpoint_every=[])
    assert end.value.number == number
    assert signal.getsignal(number) is before
    assert kept(tmp_path) == [step]
    resumed, result = fit(resume="", checkpoint_every=[])
    assert same(resumed, unbroken[0])
    assert result.history == unbroken[1].history


@pytest.mark.parametrize("more", [{}, PATIENCE])
def test_a_signal_in_the_last_evaluation_writes_a_checkpoint(fit, tmp_path, more):
    told = {"checkpoint_every": [], **more}
    unbroken, expected = fit(folder="others", **told)
    assert expected.steps < 72 if more else expected.steps == 16
    evaluations = sum("validation_loss" in entry for entry in expected.history)
    logits_of, calls = stage.logits_of, 0

    def with_signal(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == evaluations:
            os.kill(os.getpid(), signal.SIGTERM)
        return logits_of(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "logits_of", with_signal)
        with pytest.raises(Interrupted, match=f"stopped by SIGTERM after step {expected.steps}; --resume continues"):
            fit(**told)
    assert kept(tmp_path) == [expected.steps]
    resumed, result = fit(resume="", **told)
    assert same(resumed, unbroken)
    assert result.history == expected.history


def test_a_second_signal_ends_the_run_at_once(fit, tmp_path, monkeypatch):
    signalled(monkeypatch, signal.SIGTERM, 5, times=2)
    with pytest.raises(Interrupted, match="interrupted"):
        fit()
    assert kept(tmp_path) == [3]


def test_without_a_folder_signals_do_what_they_always_do(encoder, review_splits, options, monkeypatch):
    signalled(monkeypatch, signal.SIGINT, 2)
    with pytest.raises(KeyboardInterrupt) as end:
        nt.fit(fresh(encoder, review_splits)[0], review_splits, options)
    assert not isinstance(end.value, Interrupted)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seed": 4}, "--seed was 0 and is 4"),
        ({"learning_rate": 1e-3}, "--learning_rate was 0.003 and is 0.001"),
        ({"per_device_train_batch_size": 4}, "--per_device_train_batch_size was 8 and is 4"),
        ({"strategy": "l2sp"}, "--strategy was full and is l2sp"),
        ({"strategy": nt.strategies.Full(layer_lr_decay=0.9)}, "--layer_lr_decay was 1.0 and is 0.9"),
        ({"cache": nt.CacheOptions(cache_dtype="bf16")}, "--cache_dtype was auto and is bf16"),
    ],
)
def test_options_that_would_change_the_run_are_refused_by_name(fit, changed, says):
    killed(fit, 5)
    with pytest.raises(nt.OptionError, match=f"not the run that was stopped: .*{says}"):
        fit(resume="", **changed)


def test_other_rows_and_other_weights_are_refused(fit, review_splits, checkpoint):
    killed(fit, 5)
    other = replace(review_splits, train=review_splits.validation)
    with pytest.raises(nt.OptionError, match="the train rows changed"):
        fit(resume="", splits=other)
    with pytest.raises(nt.OptionError, match="the weights of --model_name_or_path changed"):
        fit(resume="", encoder=checkpoint("distilbert"))


def test_a_source_is_known_by_what_it_holds(fit, reviews, tmp_path):
    for name in ("a.csv", "b.csv"):
        shutil.copy(reviews["train"], tmp_path / name)
    killed(fit, 5, strategy=nt.strategies.Replay(str(tmp_path / "a.csv")))
    fit(resume="", strategy=nt.strategies.Replay(str(tmp_path / "b.csv")))
    killed(fit, 5, strategy=nt.strategies.Replay(str(tmp_path / "a.csv")))
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text() + "fine,praise\n")
    with pytest.raises(nt.OptionError, match="--source_file changed"):
        fit(resume="", strategy=nt.strategies.Replay(str(tmp_path / "a.csv")))


def test_other_options_are_free(fit, unbroken, tmp_path):
    killed(fit, 8)
    told = {"logging_steps": 3, "report_to": [], "checkpoint_every": ["5 steps"], "keep_checkpoints": 1}
    assert same(fit(resume="", **told)[0], unbroken[0])
    assert kept(tmp_path) == [16]


def test_a_run_goes_on_from_the_checkpoint_that_is_named(fit, unbroken, tmp_path):
    killed(fit, 8)
    assert kept(tmp_path) == [3, 6]
    assert same(fit(resume=str(tmp_path / "checkpoints" / "step-00000003"))[0], unbroken[0])
    with pytest.raises(nt.UserError, match=r"step-00000004 is damaged \(checksums.json is missing\)"):
        fit(resume=str(tmp_path / "checkpoints" / "step-00000004"))


def test_a_damaged_newest_one_is_passed_over(fit, unbroken, tmp_path, caplog):
    killed(fit, 8)
    os.truncate(tmp_path / "checkpoints" / "step-00000006" / "optimizer.safetensors", 100)
    with caplog.at_level("INFO", "nlp_transfer"):
        assert same(fit(resume="")[0], unbroken[0])
    assert "step-00000006 is damaged (optimizer.safetensors has changed since it was written)" in caplog.text
    assert "Resuming from " + str(tmp_path / "checkpoints" / "step-00000003") in caplog.text


def test_a_checkpoint_of_another_version_is_refused(fit, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("nlp_transfer.training.checkpointing.manager._FORMAT", 1)
        killed(fit, 5)
    with pytest.raises(nt.OptionError, match=r"step-00000003 was written by another version .*--overwrite_output_dir"):
        fit(resume="")


def test_where_there_is_none_the_run_begins(fit, unbroken):
    assert same(fit(resume="")[0], unbroken[0])


def test_a_run_that_has_ended_but_was_not_saved_is_not_trained_again(fit, monkeypatch):
    unbroken, expected = fit()
    killing(monkeypatch, steps, "_update", 1)
    resumed, result = fit(resume="")
    assert same(resumed, unbroken)
    assert (result.steps, result.history) == (expected.steps, expected.history)


@pytest.mark.parametrize("name", ["freeze", "gradual"])
def test_cached_activations_may_have_to_be_computed_again_but_not_for_each_batch(fit, tmp_path, name):
    strategy = nt.strategy_named(name, **STRATEGIES[name])
    unbroken, _ = fit(folder="others", strategy=strategy)
    killed(fit, 6, strategy=strategy)
    shutil.rmtree(tmp_path / "cache")
    assert same(fit(resume="", strategy=strategy)[0], unbroken)
    killed(fit, 6, strategy=strategy)
    with pytest.raises(nt.OptionError, match=r"cache was used before and is not now; .* --cache_gb"):
        fit(resume="", strategy=strategy, cache=nt.CacheOptions(cache_gb=0))
    killed(fit, 6, strategy=strategy, cache=nt.CacheOptions(cache_gb=0))
    with pytest.raises(nt.OptionError, match=r"cache was not used before and is now; .* --cache_gb"):
        fit(resume="", strategy=strategy)


def test_room_for_the_widest_stage_is_asked_for_once_before_the_first(fit, tmp_path, monkeypatch, caplog):
    usage, free = shutil.disk_usage(tmp_path), 5 * 10**5  # bytes; the head alone would need 5,000
    monkeypatch.setattr(
        "nlp_transfer.training.checkpointing.manager.shutil.disk_usage", lambda _: usage._replace(free=free)
    )
    with pytest.raises(nt.OptionError, match="no room on disk for checkpoints"):
        fit(strategy="gradual")
    assert not (tmp_path / "checkpoints").exists()
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000001" / "weights.safetensors").write_bytes(bytes(10**7))
    with caplog.at_level("INFO", "nlp_transfer"):
        fit(strategy="gradual", max_train_steps=1)
    assert caplog.text.count("Checkpoints will take up to") == 1


def test_a_full_disk_stops_with_one_line(fit, unbroken, tmp_path, monkeypatch):
    save, calls = on_disk.save_file, 0

    def full(tensors: object, path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError(28, "No space left on device", str(path))
        save(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "save_file", full)
        with pytest.raises(nt.UserError, match=r"no room left on disk for the checkpoint of step 6 .*step-00000003 is"):
            fit()
    assert kept(tmp_path) == [3]
    assert same(fit(resume="")[0], unbroken[0])


def test_the_best_is_in_each_checkpoint(fit, tmp_path):
    """Were it not, keeping one would lose it."""
    told = {"metric_for_best_model": "loss", "learning_rate": 3e-2, "keep_checkpoints": 1, "num_train_epochs": 4}
    unbroken, expected = fit(folder="others", **told)
    assert expected.best_epoch < 4
    killed(fit, 31, **told)
    assert len(kept(tmp_path)) == 1
    resumed, result = fit(resume="", **told)
    assert same(resumed, unbroken)
    assert result.best_epoch == expected.best_epoch
