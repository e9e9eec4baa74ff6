"""Activations of frozen layers are computed once and cached, and training on them gives the same weights."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from accelerate import Accelerator
from conftest import FAMILIES, GOOD, THINGS, sentence_lines

import nlp_transfer as nt
from nlp_transfer.activations import frozen_layers as frozen_module
from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.splits import Splits
from nlp_transfer.strategies import Freeze, Gradual, Stage, Strategy, feature_extraction
from nlp_transfer.system import locking

LAYERS = 3
ATTEND_TO_PADDING = ("convbert", "mobilebert")  # inside transformers: what they give depends on the batch


@dataclass
class Untruncated(Strategy):
    """Freezes as `Freeze` does, and runs the frozen layers in every step."""

    name: ClassVar[str] = "untruncated"
    below: int = 0

    def stages(self, encoder: nt.Encoder, epochs: float, learning_rate: float) -> Sequence[Stage]:
        return [Stage(0, epochs, learning_rate)]

    def start(self, model: nt.TransferModel, stage: Stage) -> None:
        model.encoder.freeze(self.below)


@pytest.fixture
def cache(tmp_path: Path) -> nt.CacheOptions:
    return nt.CacheOptions(cache_dir=str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Splits]:
    """Rows of one length, which may meet in any batch without padding; and rows of several lengths."""
    folder = tmp_path_factory.mktemp("rows")
    texts = [f"the {THINGS[i % 8]} was {GOOD[i // 2 % 8]},{('a', 'b')[i % 2]}\n" for i in range(48)]
    uneven = [f"the {' '.join(THINGS[: i % 5])} was {GOOD[i // 2 % 8]},{('a', 'b')[i % 2]}\n" for i in range(48)]
    even_tags = [line for line in sentence_lines(96) if len(line) == 5]
    made = {}
    for name, lines in (("even", texts), ("uneven", uneven)):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(lines))
        rows = read_classification(str(folder / f"{name}.csv"))
        made[f"classification {name}"] = Splits(rows, rows, None)
    for name, sentences in (("even", even_tags), ("uneven", sentence_lines(48))):
        text = "".join("".join(f"{word}\t{tag}\n" for word, tag in line) + "\n" for line in sentences)
        (folder / f"{name}.conll").write_text(text)
        rows = read_tagged(str(folder / f"{name}.conll"))
        made[f"ner {name}"] = Splits(rows, rows, None)
    return made


HEADS: dict[str, Callable[[], nt.TaskHead]] = {
    "classification": lambda: nt.TextClassificationHead(["a", "b"]),
    "pooled": lambda: nt.TextClassificationHead(["a", "b"], pooling="mean", hidden=(8,)),
    "ner": lambda: nt.NERHead(["PER", "LOC"]),
}


def run(
    checkpoint: str, head: str, rows: Splits, strategy: Strategy, cache: nt.CacheOptions, **changes: object
) -> tuple[list[float], nt.TransferModel]:
    """The loss of every step, and the model."""
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint, HEADS[head]())
    options = nt.TrainingOptions(
        num_train_epochs=1, per_device_train_batch_size=8, per_device_eval_batch_size=8, learning_rate=3e-3,
        mixed_precision="no", logging_steps=1,
    )  # fmt: skip
    result = nt.fit(model, rows, replace(options, **changes), strategy=strategy, cache=cache)
    return [entry["loss"] for entry in result.history if "loss" in entry], model


def assert_equal_weights(one: nt.TransferModel, other: nt.TransferModel, tolerance: float = 0.0) -> None:
    others = dict(other.network.named_parameters())
    for name, weight in one.network.named_parameters():
        assert (weight - others.pop(name)).abs().max() <= tolerance, name
    assert others == {}


# The pooled network is ours, and the same on every family; two are enough.
@pytest.mark.thinned(0.15)
@pytest.mark.parametrize(
    ("family", "head"),
    [(f, head) for f in FAMILIES for head in HEADS if head != "pooled" or f in ("bert", "modernbert")],
)
def test_every_loss_is_that_of_the_whole_run_to_the_last_bit(checkpoint, splits, cache, monkeypatch, family, head):
    """For batches of one shape: how a matrix product is rounded may depend on how many rows it has."""
    monkeypatch.setattr(frozen_module, "_BATCH", 8)
    rows = replace(splits[f"{'ner' if head == 'ner' else 'classification'} even"], validation=None)
    for live in (0,) if family == "albert" else (0, 1):
        strategy = Freeze(trainable_layers=live)
        kept, model = run(checkpoint(family, LAYERS), head, rows, strategy, cache)
        plain, other = run(checkpoint(family, LAYERS), head, rows, Untruncated(LAYERS - live), cache)
        assert len(kept) == 6
        assert kept == plain, f"{live} live layers"
        assert_equal_weights(model, other, 1e-6)  # the order in which gradients are summed may differ


@pytest.mark.thinned(0.15)
@pytest.mark.parametrize(
    ("family", "head"),
    [(f, "ner") for f in FAMILIES if f not in ATTEND_TO_PADDING]
    + [(f, "classification") for f in ("bert", "modernbert")],
)
def test_padding_changes_no_loss(checkpoint, splits, cache, family, head):
    rows = splits[f"{'ner' if head == 'ner' else 'classification'} uneven"]
    live = 0 if family == "albert" else 1
    kept, _ = run(checkpoint(family, LAYERS), head, rows, Freeze(trainable_layers=live), cache)
    plain, _ = run(checkpoint(family, LAYERS), head, rows, Untruncated(LAYERS - live), cache)
    assert kept == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("live", [0, 1])
def test_without_room_the_layers_run_again_and_that_is_said(checkpoint, splits, cache, caplog, head, live):
    """In each batch of the run itself: equal to the last bit whatever the lengths."""
    rows = splits[f"{'ner' if head == 'ner' else 'classification'} uneven"]
    with caplog.at_level("INFO"):
        computed, model = run(
            checkpoint("bert", LAYERS), head, rows, Freeze(trainable_layers=live), replace(cache, cache_gb=0)
        )
    assert "Activations of frozen layers are computed for each batch, and not cached: they take" in caplog.text
    plain, other = run(checkpoint("bert", LAYERS), head, rows, Untruncated(LAYERS - live), cache)
    assert computed == plain
    assert_equal_weights(model, other)


def test_dropout_above_the_truncation_is_that_of_the_untruncated_run(checkpoint, splits, cache):
    """Dropout of frozen layers is off, so the layers above draw the same random numbers with and without a cache."""
    rows = splits["classification uneven"]
    losses = []
    for room in (None, 0):
        nt.set_seed(0)
        model = nt.TransferModel.load(checkpoint("bert", LAYERS), HEADS["classification"]())
        for module in model.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.3
        options = nt.TrainingOptions(
            num_train_epochs=2, per_device_train_batch_size=8, mixed_precision="no", logging_steps=1
        )
        result = nt.fit(model, rows, options, strategy=Freeze(1), cache=replace(cache, cache_gb=room))
        losses.append([entry["loss"] for entry in result.history if "loss" in entry])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The depths of every pass that fills the cache."""
    passes: list[list[int]] = []
    fill = FrozenLayers._fill

    def count(self: FrozenLayers, rows: TokenInputs, kept: dict[int, torch.Tensor]) -> None:
        passes.append(sorted(kept))
        fill(self, rows, kept)

    monkeypatch.setattr(FrozenLayers, "_fill", count)
    return passes


def test_a_second_run_starts_at_once_whatever_its_head_rate_and_seed(checkpoint, splits, cache, monkeypatch):
    rows = replace(splits["classification uneven"], validation=None)
    passes = counted(monkeypatch)
    first, model = run(checkpoint("bert", LAYERS), "classification", rows, Freeze(1), cache)
    assert passes == [[2]]
    again, same = run(checkpoint("bert", LAYERS), "classification", rows, Freeze(1), cache)
    assert again == first
    assert_equal_weights(model, same)
    run(checkpoint("bert", LAYERS), "pooled", rows, Freeze(1), cache, seed=3, learning_rate=1e-3)
    assert passes == [[2]]
    run(checkpoint("bert", LAYERS), "classification", rows, Freeze(2), cache)
    run(checkpoint("electra", LAYERS), "classification", rows, Freeze(1), cache)
    assert passes == [[2], [1], [2]]


@pytest.fixture
def slow_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the clock of these tests a pass over the rows takes 3 seconds, and all else no time."""
    now, fill = 0.0, FrozenLayers._fill

    def tick(self: FrozenLayers, rows: TokenInputs, kept: dict[int, torch.Tensor]) -> None:
        nonlocal now
        fill(self, rows, kept)
        now += 3.0

    monkeypatch.setattr(FrozenLayers, "_fill", tick)
    monkeypatch.setattr(frozen_module, "time", SimpleNamespace(perf_counter=lambda: now))


@pytest.mark.usefixtures("slow_passes")
def test_a_run_tells_how_long_the_pass_took_that_it_was_spared(checkpoint, splits, cache):
    rows = splits["classification uneven"]
    results = []
    for below in (2, 2, 1):
        model = nt.TransferModel.load(checkpoint("bert", LAYERS), HEADS["classification"]())
        options = nt.TrainingOptions(max_train_steps=1, mixed_precision="no")
        results.append(nt.fit(model, rows, options, strategy=Freeze(LAYERS - below), cache=cache))
    assert [result.seconds_spared for result in results] == [0.0, 3.0, 0.0]


@pytest.mark.usefixtures("slow_passes")
def test_two_runs_at_once_make_one_pass(checkpoint, splits, cache, monkeypatch):
    passes = counted(monkeypatch)
    count, waits = FrozenLayers._fill, threading.Event()
    monkeypatch.setattr(locking.log, "info", lambda *said: waits.set())
    monkeypatch.setattr(FrozenLayers, "_fill", lambda *given: waits.wait(240) and count(*given))
    folder = checkpoint("bert", LAYERS)
    models = [nt.TransferModel.load(folder, HEADS["classification"]()) for _ in range(2)]
    rows = TokenInputs(models[0].encode(splits["classification uneven"].train.data), models[0].pad_id)
    frozen = [FrozenLayers(model.encoder, Accelerator(cpu=True), cache) for model in models]
    runs = [threading.Thread(target=one.run, args=([rows], [2])) for one in frozen]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(240)
    assert passes == [[2]]
    states = []
    for one in frozen:
        with one.truncated(2) as feed:
            states.append(feed(rows).batch([0, 1])["inputs_embeds"])
    assert torch.equal(*states)
    assert [one.seconds_spared for one in frozen] == [0.0, 0.0]  # the one that is spared the pass waits as long


def test_what_other_weights_give_is_not_taken(checkpoint, splits, cache, monkeypatch):
    rows = replace(splits["classification uneven"], validation=None)
    passes = counted(monkeypatch)
    model = nt.TransferModel.load(checkpoint("bert", LAYERS), HEADS["classification"]())
    options = nt.TrainingOptions(max_train_steps=1, mixed_precision="no")
    nt.fit(model, rows, options, strategy=Freeze(1), cache=cache)
    with torch.no_grad():
        model.encoder.layers[2].output.dense.bias.add_(1.0)  # above the truncated
    nt.fit(model, rows, options, strategy=Freeze(1), cache=cache)
    assert passes == [[2]]
    with torch.no_grad():
        model.encoder.layers[1].output.dense.bias.add_(1.0)  # below it
    nt.fit(model, rows, options, strategy=Freeze(1), cache=cache)
    assert passes == [[2], [2]]


def test_one_pass_fills_every_depth_that_gradual_unfreezing_needs(checkpoint, splits, cache, monkeypatch):
    passes = counted(monkeypatch)
    rows = replace(splits["classification uneven"], validation=None)
    _, model = run(checkpoint("bert", LAYERS), "classification", rows, Gradual(), cache, num_train_epochs=4)
    assert passes == [[1, 2, 3]]
    assert all(p.requires_grad for p in model.network.parameters())


def test_a_damaged_file_is_made_anew(checkpoint, splits, cache, monkeypatch):
    passes = counted(monkeypatch)
    rows = replace(splits["classification uneven"], validation=None)
    first, _ = run(checkpoint("bert", LAYERS), "classification", rows, Freeze(1), cache)
    (states,) = Path(cache.cache_dir).glob("*/states.bin")
    states.write_bytes(bytes(states.stat().st_size))
    again, _ = run(checkpoint("bert", LAYERS), "classification", rows, Freeze(1), cache)
    assert again == first
    assert passes == [[2], [2]]


def test_what_another_run_removes_meanwhile_is_still_read(checkpoint, splits, cache):
    @dataclass
    class Emptied(Gradual):
        def start(self, model: nt.TransferModel, stage: Stage) -> None:
            super().start(model, stage)
            shutil.rmtree(cache.cache_dir, ignore_errors=True)

    rows = splits["classification uneven"]
    expected, _ = run(checkpoint("bert", LAYERS), "classification", rows, Gradual(), cache)
    assert run(checkpoint("bert", LAYERS), "classification", rows, Emptied(), cache)[0] == expected


def test_what_is_kept_is_only_read(tmp_path):
    (tmp_path / "states.bin").write_bytes(bytes(16))
    kept = frozen_module._mapped(tmp_path / "states.bin", (2, 2), torch.float32, for_writing=False)
    kept += 1
    assert (tmp_path / "states.bin").read_bytes() == bytes(16)


def test_a_network_that_cannot_be_taken_apart_is_trained_whole_and_that_is_said(
    checkpoint, splits, cache, monkeypatch, caplog
):
    rows = splits["classification uneven"]
    monkeypatch.setattr(frozen_module, "can_be_truncated", lambda *_: False)
    with caplog.at_level("INFO"):
        whole, model = run(checkpoint("bert", LAYERS), "classification", rows, Freeze(1), cache)
    assert "bert cannot be truncated at layer 2: its frozen layers run in every step." in caplog.messages
    plain, other = run(checkpoint("bert", LAYERS), "classification", rows, Untruncated(LAYERS - 1), cache)
    assert whole == plain
    assert_equal_weights(model, other)
    told: list[list[object]] = []  # to a second process, which waits for what the first one fits
    monkeypatch.setattr(
        feature_extraction, "PartialState", lambda: SimpleNamespace(is_main_process=True, num_processes=2)
    )
    monkeypatch.setattr(feature_extraction, "broadcast_object_list", told.append)
    with pytest.raises(nt.ModelError, match="the layers of bert cannot be run without its head"):
        run(checkpoint("bert", LAYERS), "classification", rows, nt.strategies.Features(), cache)
    assert isinstance(told[0][0], nt.ModelError)


def test_an_interrupted_pass_leaves_nothing(checkpoint, splits, cache, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FrozenLayers, "_fill", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint("bert", LAYERS), "classification", splits["classification even"], Freeze(1), cache)
    assert list(Path(cache.cache_dir).iterdir()) == []


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 0.0), ("bf16", 2e-2), ("fp16", 2e-3)])
def test_cached_activations_have_the_dtype_that_is_asked_for(checkpoint, splits, cache, dtype, tolerance):
    model = nt.TransferModel.load(checkpoint("bert", LAYERS), HEADS["ner"]())
    rows = TokenInputs(model.encode(splits["ner uneven"].train.data), model.pad_id)
    layers = FrozenLayers(model.encoder, Accelerator(), replace(cache, cache_dtype=dtype))
    layers.run([rows], [2])
    (file,) = Path(cache.cache_dir).glob("*/states.bin")
    size = {"fp32": 4, "bf16": 2, "fp16": 2}[dtype]
    assert file.stat().st_size == size * rows.lengths.sum() * 32
    places = [5, 0, 7]
    whole = rows.batch(places)
    with layers.truncated(2) as feed:
        batch = feed(rows).batch(places)
    assert batch["inputs_embeds"].dtype == torch.float32
    assert torch.equal(batch["labels"], whole["labels"])
    assert torch.equal(batch["attention_mask"], whole["attention_mask"])
    expected = layers._states(rows, [2], places)[2]
    real = whole["attention_mask"].bool()
    assert (batch["inputs_embeds"] - expected)[real].abs().max() <= tolerance * expected.abs().max() + 1e-6


def test_auto_keeps_the_precision_of_the_run(checkpoint, cache):
    encoder = nt.Encoder.load(checkpoint("bert", LAYERS))
    assert FrozenLayers(encoder, Accelerator(), cache).dtype == torch.float32
    assert FrozenLayers(encoder, Accelerator(), replace(cache, cache_dtype="fp16")).dtype == torch.float16


def test_a_report_scores_on_cached_activations(checkpoint, review_splits, cache, monkeypatch):
    """And gives what the whole network does."""
    nt.set_seed(0)
    model = nt.TransferModel.load(checkpoint("bert", LAYERS), nt.TextClassificationHead.for_splits(review_splits))
    options = nt.TrainingOptions(num_train_epochs=2, learning_rate=3e-3, mixed_precision="no")
    accelerator = Accelerator()
    result = nt.fit(model, review_splits, options, accelerator, "freeze", cache)
    passes = counted(monkeypatch)
    report = nt.evaluate_run(model, review_splits, result, accelerator, cache=cache)
    assert passes == [[3]]  # of test; validation was kept in training
    texts = list(review_splits.test.data["text"])
    for kept, whole in zip(report.predictions, model.predict(texts, precision="no"), strict=True):
        assert kept.probabilities == pytest.approx(whole.probabilities, abs=1e-6)
