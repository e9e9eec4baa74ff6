"""Training learns, repeats exactly, and does not depend on how a batch is cut up."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import replace
from statistics import mean
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import TorchDynamoPlugin, is_compiled_module

import nlp_transfer as nt
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import Strategy
from nlp_transfer.strategies.full import Full
from nlp_transfer.strategies.param_groups import decay_groups
from nlp_transfer.strategies.strategy import Part
from nlp_transfer.training import fsdp
from nlp_transfer.training.fsdp import Shards
from nlp_transfer.training.progress import Progress

Checkpoint = Callable[..., str]


def classifier(checkpoint: Checkpoint, splits: Splits) -> nt.TransferModel:
    folder = checkpoint()  # made when it is first asked for, from random numbers
    nt.set_seed(0)
    return nt.TransferModel.load(folder, nt.TextClassificationHead.for_splits(splits))


def weights(model: nt.TransferModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.network.named_parameters()}


def largest_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max((a[name] - b[name]).abs().max().item() for name in a)


def test_a_classifier_learns_what_can_be_learned(checkpoint, review_splits, options):
    model = classifier(checkpoint, review_splits)
    result = nt.fit(model, review_splits, replace(options, num_train_epochs=8))
    assert result.best_score == 1.0
    assert result.steps == 64
    test = review_splits.test.data
    assert [p.label for p in model.predict(list(test["text"]))] == list(test["label"])


def test_a_tagger_learns_what_can_be_learned(checkpoint, sentence_splits, options):
    head, splits = nt.NERHead.for_splits(sentence_splits)
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint(), head)
    result = nt.fit(model, splits, replace(options, num_train_epochs=8))
    assert result.metric == "f1_strict"
    assert result.best_score > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(checkpoint, review_splits, options):
    runs = []
    for seed in (3, 3, 4):
        model = classifier(checkpoint, review_splits)
        nt.fit(model, review_splits, replace(options, seed=seed))
        runs.append(weights(model))
    assert largest_difference(runs[0], runs[1]) == 0.0
    assert largest_difference(runs[0], runs[2]) > 0.0


@pytest.mark.usefixtures("other_accelerators")
def test_half_precision_ends_within_the_noise_between_seeds(checkpoint, review_splits, options):
    """Every fifth row says the opposite of what it means, so no run is perfect, and seeds differ."""
    flip = {"good": "bad", "bad": "good"}
    noisy = replace(
        review_splits.train,
        data=review_splits.train.data.map(
            lambda row, i: {"label": flip.get(row["label"], row["label"]) if i % 5 == 0 else row["label"]},
            with_indices=True,
        ),
    )
    splits = replace(review_splits, train=noisy)
    found = {}
    for precision in ("no", "bf16"):
        losses = []
        for seed in range(3):
            AcceleratorState._reset_state(True)
            nt.set_seed(seed)
            model = nt.TransferModel.load(checkpoint(), nt.TextClassificationHead.for_splits(splits))
            told = replace(options, seed=seed, mixed_precision=precision, metric_for_best_model="loss")
            losses.append(nt.fit(model, splits, told).best_score)
        found[precision] = losses
    spread = max(found["no"]) - min(found["no"])
    assert spread > 0
    assert abs(mean(found["bf16"]) - mean(found["no"])) < spread, found
    assert found["bf16"] != found["no"], "bf16 was not used"


@pytest.mark.usefixtures("other_accelerators")
def test_every_stage_of_a_run_and_a_second_run_are_in_bf16(checkpoint, review_splits, options):
    model = classifier(checkpoint, review_splits)
    seen = []
    for module in model.network.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, _, given: seen.append((module.training, given.dtype)))
    told = replace(options, num_train_epochs=1, mixed_precision="bf16")
    for strategy in (nt.strategies.HeadThenFull(head_epochs=1), nt.strategies.Gradual(), nt.strategies.Full()):
        nt.fit(model, review_splits, told, strategy=strategy)
        in_training = {dtype for training, dtype in seen if training}
        assert in_training == {torch.bfloat16}, strategy.name
        seen.clear()


@pytest.mark.whole
@pytest.mark.usefixtures("other_accelerators")
def test_a_compiled_network_learns_the_same(checkpoint, review_splits, options):
    """With the compiler's front half: what it makes of the network runs as PyTorch runs it."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    runs = []
    for compiled in (False, True):
        model = classifier(checkpoint, review_splits)
        told = replace(options, num_train_epochs=1, torch_compile=compiled)
        accelerator = nt.make_accelerator(told)
        assert (accelerator.state.dynamo_plugin.backend == "INDUCTOR") == compiled
        if compiled:
            accelerator.state.dynamo_plugin = TorchDynamoPlugin(backend="eager", dynamic=True)
        nt.fit(model, review_splits, told, accelerator)
        assert not is_compiled_module(model.network)
        runs.append((weights(model), torch._dynamo.utils.counters["stats"]["unique_graphs"]))
    (plain, no_graphs), (compiled_weights, graphs) = runs
    assert (no_graphs, graphs > 0) == (0, True)
    assert largest_difference(plain, compiled_weights) < 1e-6


class Small(Full):
    """A device that holds so many rows at a time."""

    holds = 3

    def loss(self, model, module, batch, labels, part):
        loss = super().loss(model, module, batch, labels, part)
        if len(labels) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss


def test_out_of_memory_the_batch_is_taken_in_parts_and_learns_the_same(checkpoint, review_splits, options, caplog):
    told = replace(options, per_device_train_batch_size=24)
    runs = []
    with caplog.at_level("INFO", "nlp_transfer"):
        for strategy in ("full", Small()):
            model = classifier(checkpoint, review_splits)
            runs.append((nt.fit(model, review_splits, told, strategy=strategy), weights(model)))
    assert largest_difference(runs[0][1], runs[1][1]) < 1e-5
    assert runs[0][0].steps == runs[1][0].steps
    said = [record.message for record in caplog.records if "Out of memory" in record.message]
    assert len(said) == 3
    assert said[-1].endswith("continuing with --per_device_train_batch_size 3 --gradient_accumulation_steps 8.")


def test_out_of_memory_with_one_row_is_one_line(checkpoint, review_splits, options, monkeypatch):
    monkeypatch.setattr(Small, "holds", 0)
    with pytest.raises(nt.UserError, match="out of memory at step 1, with one row at a time; give a smaller"):
        nt.fit(classifier(checkpoint, review_splits), review_splits, options, strategy=Small())


def test_the_estimated_time_left_is_logged_where_it_is_minutes(checkpoint, review_splits, options, caplog, monkeypatch):
    """Of the whole run, later stages with it."""
    told, left = replace(options, num_train_epochs=3), []
    log_time_left = Progress._log_time_left
    monkeypatch.setattr(Progress, "_log_time_left", lambda self, n: (left.append(n), log_time_left(self, n)))
    with caplog.at_level("INFO", "nlp_transfer"):
        nt.fit(classifier(checkpoint, review_splits), review_splits, told)
        assert "Estimated time left" not in caplog.text
        monkeypatch.setattr("nlp_transfer.training.progress._WORTH_LOGGING", 0)
        for most in (None, 30):
            strategy = nt.strategies.HeadThenFull(head_epochs=3)
            nt.fit(
                classifier(checkpoint, review_splits),
                review_splits,
                replace(told, max_train_steps=most),
                strategy=strategy,
            )
    assert left == [4, 28, 4, 10]
    lines = [message for message in caplog.messages if "Estimated time left" in message]
    assert all(re.search(r"time left: (at least )?[\d.]+ s.*, plus evaluations\.", line) for line in lines)
    assert ["(later stages train more layers)" in line for line in lines] == [True, False, True]


def test_checkpoints_that_the_disk_cannot_hold_are_refused(
    checkpoint, review_splits, options, tmp_path, monkeypatch, caplog
):
    often = replace(options, checkpoint_every=["1", "steps"], max_train_steps=1)
    model, folder = classifier(checkpoint, review_splits), tmp_path / "run" / "checkpoints"
    with monkeypatch.context() as patch:
        patch.setattr(
            "nlp_transfer.training.checkpointing.manager.shutil.disk_usage", lambda _: SimpleNamespace(free=10_000)
        )
        with pytest.raises(nt.OptionError, match=r"no room on disk for checkpoints in .*: they need 1 MB"):
            nt.fit(model, review_splits, often, checkpoints=folder)
    with caplog.at_level("INFO", "nlp_transfer"):
        nt.fit(model, review_splits, often, checkpoints=folder)
    assert "Checkpoints will take up to 1 MB." in caplog.messages


@pytest.mark.parametrize("task", ["classification", "ner"])
def test_accumulation_changes_nothing(checkpoint, review_splits, sentence_splits, options, task):
    """64 rows in batches of 24 leave a last batch of 16; sentences differ in how many words they have."""
    runs = []
    for size, accumulation in ((24, 1), (8, 3), (1, 24)):
        if task == "ner":
            head, splits = nt.NERHead.for_splits(sentence_splits)
        else:
            splits = review_splits
            head = nt.TextClassificationHead.for_splits(splits)
        nt.set_seed(0)
        model = nt.TransferModel.load(checkpoint(), head)
        nt.fit(
            model,
            splits,
            replace(options, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation),
        )
        runs.append(weights(model))
    assert largest_difference(runs[0], runs[1]) < 1e-5
    assert largest_difference(runs[0], runs[2]) < 1e-5


def test_the_loss_is_the_mean_over_all_labelled_words_of_the_step(checkpoint, sentence_splits, options):
    """Against transformers' own mean loss on one batch of everything."""
    head, splits = nt.NERHead.for_splits(sentence_splits)
    model = nt.TransferModel.load(checkpoint(), head)
    batch = {k: torch.tensor(v) for k, v in _padded(model, splits).items()}
    expected = model.network.eval()(**batch).loss.item()
    whole = replace(options, per_device_train_batch_size=16, gradient_accumulation_steps=4, max_train_steps=1)
    result = nt.fit(model, splits, replace(whole, learning_rate=1e-9))
    assert math.isclose(result.history[0]["loss"], expected, rel_tol=1e-5)


def _padded(model: nt.TransferModel, splits: Splits) -> dict[str, list[list[int]]]:
    features = model.encode(splits.train.data)
    longest = max(len(ids) for ids in features["input_ids"])

    def pad(rows: list[list[int]], value: int) -> list[list[int]]:
        return [list(row) + [value] * (longest - len(row)) for row in rows]

    return {
        "input_ids": pad(features["input_ids"], model.pad_id),
        "attention_mask": pad([[1] * len(ids) for ids in features["input_ids"]], 0),
        "labels": pad(features["labels"], -100),
    }


def test_early_stopping_stops_and_the_best_weights_are_those_that_score(checkpoint, review_splits, options):
    model = classifier(checkpoint, review_splits)
    patient = replace(options, num_train_epochs=30, early_stopping_patience=2)
    result = nt.fit(model, review_splits, patient)
    assert result.steps < 240
    validation = review_splits.validation.data
    right = [
        p.label == label for p, label in zip(model.predict(list(validation["text"])), validation["label"], strict=True)
    ]
    assert sum(right) / len(right) == result.best_score


def test_without_validation_rows_the_last_weights_are_kept(checkpoint, review_splits, options):
    alone = replace(review_splits, validation=None)
    model = classifier(checkpoint, review_splits)
    result = nt.fit(model, alone, options)
    assert (result.steps, result.best_score, result.best_epoch) == (16, None, None)
    assert not any("validation" in name for entry in result.history for name in entry)
    judged = classifier(checkpoint, review_splits)
    nt.fit(judged, review_splits, replace(options, metric_for_best_model="loss"))  # the loss falls, so the last is best
    assert largest_difference(weights(model), weights(judged)) == 0.0
    for name, value in (
        ("early_stopping_patience", 1), ("eval_steps", 2), ("metric_for_best_model", "accuracy"),
        ("restart_on_collapse", 1),
    ):  # fmt: skip
        with pytest.raises(nt.OptionError, match=f"--{name} needs validation rows"):
            nt.fit(model, alone, replace(options, **{name: value}))


def test_an_unknown_metric_names_the_known_ones(checkpoint, review_splits, options, monkeypatch):
    model = classifier(checkpoint, review_splits)
    monkeypatch.setattr(model, "encode", None)  # it is said before anything is done
    with pytest.raises(nt.OptionError, match=r"f1_strict is not a score of this task; it has accuracy, macro_f1"):
        nt.fit(model, review_splits, replace(options, metric_for_best_model="f1_strict"))
    with pytest.raises(nt.OptionError, match=r"macro_f is not a score of this task; did you mean macro_f1\?"):
        nt.fit(model, review_splits, replace(options, metric_for_best_model="macro_f"))


def test_a_run_that_patience_ends_within_an_epoch_may_have_collapsed(checkpoint, review_splits, options, caplog):
    told = replace(options, learning_rate=1e-12, eval_steps=2, early_stopping_patience=1)
    with caplog.at_level("INFO", "nlp_transfer"):
        result = nt.fit(classifier(checkpoint, review_splits), review_splits, told)
    assert result.steps == 4
    assert "Collapsed or untrained: " in caplog.text


def test_a_module_in_shards_drops_as_quickly_as_another(checkpoint, review_splits, options, monkeypatch):
    """A copy stands for the shards."""
    loss, kinds = Strategy.loss, set()

    def noting(strategy, model, module, *rest):
        kinds.update(type(m).__name__ for m in module.modules() if isinstance(m, torch.nn.Dropout))
        return loss(strategy, model, module, *rest)

    monkeypatch.setattr(Strategy, "loss", noting)
    monkeypatch.setattr(fsdp, "is_requested", lambda: True)
    monkeypatch.setattr(fsdp, "refuse_options", lambda *_: None)
    of = lambda network, accelerator: Shards(network, copy.deepcopy(network))  # noqa: E731
    monkeypatch.setattr(fsdp.Shards, "of", of)
    nt.fit(classifier(checkpoint, review_splits), review_splits, replace(options, max_train_steps=1))
    assert kinds == {"_FastDropout"}


def test_a_loss_that_is_no_number_stops_the_run(checkpoint, review_splits, options):
    model = classifier(checkpoint, review_splits)
    with torch.no_grad():
        model.network.classifier.weight.fill_(float("nan"))
    with pytest.raises(nt.UserError, match=r"not finite in 3 steps in a row, up to step 3 .*smaller --learning_rate"):
        nt.fit(model, review_splits, replace(options, logging_steps=8))


def unsound_at(monkeypatch: pytest.MonkeyPatch, *steps: int, in_gradient: bool = False) -> None:
    """Let the loss of these steps be infinite; or their gradient alone."""
    loss = Strategy.loss

    def broken(self: Strategy, model: nt.TransferModel, module: object, batch: object, labels: object, part: Part):  # type: ignore[no-untyped-def]
        good = loss(self, model, module, batch, labels, part)  # type: ignore[arg-type]
        if part.step not in steps or part.index:
            return good
        return good + 0 * (good * 0).sqrt() if in_gradient else good + math.inf

    monkeypatch.setattr(Strategy, "loss", broken)


def test_a_loss_that_is_no_number_while_fp16_looks_for_its_scale_is_not_in_the_history(
    checkpoint, review_splits, options, monkeypatch
):
    unsound_at(monkeypatch, 1, 2, 3, 4)
    accelerator = nt.make_accelerator(options)
    accelerator.scaler = torch.amp.GradScaler("cpu")
    told = replace(options, max_train_steps=8, logging_steps=3)
    history = nt.fit(classifier(checkpoint, review_splits), review_splits, told, accelerator).history
    losses = {entry["step"]: entry["loss"] for entry in history if "loss" in entry}
    assert set(losses) == {6, 8}
    assert all(0 < loss < 2 for loss in losses.values()), "the mean is of those that are numbers"


@pytest.mark.parametrize("in_gradient", [False, True])
@pytest.mark.parametrize("max_grad_norm", [1.0, 0.0])
def test_a_step_that_is_not_finite_is_not_taken(
    checkpoint, review_splits, options, monkeypatch, in_gradient, max_grad_norm
):
    """With steps 1 and 2 left out the weights stay what they were, and no moment of AdamW knows of them."""
    told = replace(options, max_grad_norm=max_grad_norm, max_train_steps=2, logging_steps=2)
    told = replace(told, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    unsound_at(monkeypatch, 1, 2, in_gradient=in_gradient)
    model = classifier(checkpoint, review_splits)
    before = weights(model)
    result = nt.fit(model, review_splits, told)
    assert largest_difference(before, weights(model)) == 0.0
    assert [entry for entry in result.history if "loss" in entry] == []
    result = nt.fit(model, review_splits, replace(told, max_train_steps=4))
    assert largest_difference(before, weights(model)) > 0.0
    assert all(math.isfinite(entry["loss"]) for entry in result.history if "loss" in entry)


def test_three_steps_in_a_row_end_a_run_and_three_apart_do_not(checkpoint, review_splits, options, monkeypatch):
    unsound_at(monkeypatch, 2, 3, 5, 6, 8)
    assert nt.fit(classifier(checkpoint, review_splits), review_splits, options).steps == 16
    unsound_at(monkeypatch, 4)
    with pytest.raises(nt.UserError, match="up to step 4"):
        nt.fit(classifier(checkpoint, review_splits), review_splits, options)


def test_biases_and_norms_do_not_decay(checkpoint, review_splits):
    network = classifier(checkpoint, review_splits).network
    decaying, still = decay_groups(network.parameters(), 1e-3, 0.1)
    assert (decaying["weight_decay"], still["weight_decay"]) == (0.1, 0.0)
    by_id = {id(p): name for name, p in network.named_parameters()}
    names = {by_id[id(p)] for p in still["params"]}
    assert names == {n for n in by_id.values() if n.endswith(".bias") or "LayerNorm" in n}
    assert len(decaying["params"]) + len(still["params"]) == len(by_id)


def test_an_unknown_schedule_is_one_line(checkpoint, review_splits, options):
    with pytest.raises(nt.OptionError, match=r"--lr_scheduler_type must be linear, .*; got zigzag"):
        nt.fit(classifier(checkpoint, review_splits), review_splits, replace(options, lr_scheduler_type="zigzag"))


def test_losses_and_scores_reach_tensorboard(checkpoint, review_splits, options, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = replace(options, report_to=["tensorboard"], logging_steps=4)
    accelerator = nt.make_accelerator(told, tmp_path)
    nt.fit(classifier(checkpoint, review_splits), review_splits, told, accelerator)
    for tracker in accelerator.trackers:
        tracker.finish()
    events = EventAccumulator(str(tmp_path / "logs" / "nlp_transfer")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [4, 8, 12, 16]
    assert [event.step for event in events.Scalars("validation_accuracy")] == [8, 16]
