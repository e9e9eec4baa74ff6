"""`--strategy auto` becomes one of the others, says why, and is chosen once."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from conftest import run_recipe

import nlp_transfer as nt
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.experiments.auto import choose_strategy, try_candidates
from nlp_transfer.experiments.auto.try_candidates import _decided, halved
from nlp_transfer.training.defaults import usual_rate, with_defaults
from nlp_transfer.training.progress import Progress


@pytest.fixture
def rows_are_many(monkeypatch):
    """The few rows of these tests count as so many a label that `few_shot` is not tried."""
    monkeypatch.setattr(choose_strategy, "_FEW", 0)


@pytest.fixture
def asked(monkeypatch):
    """What each trial was asked, and the scores that they are given instead of being run."""
    calls = []
    scores = {"features:svm": 0.6, "features:linear_svm": 0.7, "features:logistic": 0.5, "head_then_full": 0.8,
              "lora": 0.75, "few_shot": 0.78}  # fmt: skip

    def score(candidate, model, learned, judged, options, cache, settings):
        calls.append((candidate.name, set(learned.data["line"]), set(judged.data["line"]), options))
        return scores[candidate.name]

    monkeypatch.setattr(try_candidates, "score_of", score)
    return calls


@pytest.mark.usefixtures("rows_are_many")
def test_a_trial_is_scored_on_rows_that_it_has_not_seen_and_takes_the_epochs_of_the_run(
    asked, checkpoint, review_splits, options
):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    choice = nt.choose_strategy(model, review_splits, options)
    by_halves, of_all = asked[:-2], asked[-2:]
    assert [(name, len(learned)) for name, learned, *_ in by_halves] == [
        ("features:svm", 10), ("features:logistic", 10), ("features:linear_svm", 10),
        ("features:linear_svm", 21), ("features:svm", 21),
    ]  # fmt: skip
    assert [name for name, *_ in of_all] == ["features:linear_svm", "head_then_full"]
    assert all(learned < of_all[0][1] for _, learned, *_ in by_halves)
    for _, learned, judged, trial in of_all:
        assert not learned & judged
        assert learned | judged == set(review_splits.train.data["line"])
        assert trial.num_train_epochs == options.num_train_epochs
    assert (choice.name, choice.strategy) == ("head_then_full", nt.strategies.HeadThenFull())
    assert choice.reasons[0].startswith("auto: 64 training rows, 2 labels (32 rows each), ")
    assert choice.reasons[1:] == (
        "auto: accuracy on 21 rows held out of training: features:linear_svm 70.0, head_then_full 80.0.",
        "auto: head_then_full, which leads by 10.0 (--strategy names another).",
    )


@pytest.mark.usefixtures("rows_are_many")
def test_what_trains_the_encoder_is_tried_on_an_eighth_of_the_rows_first(
    checkpoint, review_splits, options, monkeypatch, tmp_path
):
    """Its rate, and the strategies that ask for it; another than the usual one has to lead by a standard error."""
    monkeypatch.setattr(try_candidates, "LEAST", 5)
    scores = {"features:svm": 0.6, "features:linear_svm": 0.7, "features:logistic": 0.5, "head_then_full": 0.6}
    asked, epochs = [], []

    def score(candidate, model, learned, judged, options, cache, settings):
        learning_rate = settings.get("learning_rate")
        asked.append((candidate.name, len(learned.data), learning_rate))
        epochs.append(settings.get("num_train_epochs", options.num_train_epochs))
        return 0.9 if learning_rate else scores.get(candidate.name, 0.65)

    monkeypatch.setattr(try_candidates, "score_of", score)
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    left_open = replace(options, learning_rate=None, num_train_epochs=None)
    usual = with_defaults(left_open, model, review_splits, nt.strategies.HeadThenFull()).num_train_epochs
    choice = nt.choose_strategy(model, review_splits, left_open)
    rate = usual_rate(nt.strategies.HeadThenFull(), model.encoder.width, model.encoder.depth)
    assert asked[5:] == [
        ("head_then_full", 5, None), ("head_then_full", 5, rate / 2), ("lora", 5, None),
        ("features:linear_svm", 43, None), ("head_then_full", 43, rate / 2),
    ]  # fmt: skip
    assert epochs[5:8] == [usual, usual, 2 * usual]
    assert (choice.name, choice.learning_rate) == ("head_then_full", rate / 2)
    assert (
        f"head_then_full at {rate / 2:g} 90.0, lora 65.0; head_then_full at {rate / 2:g} is tried" in choice.reasons[1]
    )
    assert usual_rate(choice.strategy, model.encoder.width, model.encoder.depth) == rate / 2
    choose_strategy.write_choice(choice, tmp_path)
    assert choose_strategy.read_choice(tmp_path) == replace(choice, reasons=list(choice.reasons))
    asked.clear()
    epochs.clear()
    assert nt.choose_strategy(model, review_splits, options).learning_rate is None  # a rate that was given stays
    assert set(epochs) == {options.num_train_epochs}  # and so do epochs, for every candidate
    assert all(learning_rate is None for _, _, learning_rate in asked)


@pytest.mark.usefixtures("rows_are_many")
def test_a_strategy_asks_to_be_tried_by_itself(checkpoint, review_splits, options, monkeypatch):
    monkeypatch.setattr(try_candidates, "LEAST", 5)
    monkeypatch.setattr(nt.strategies.Gradual, "tried_by_auto", classmethod(lambda cls, rows, labels: rows < 50))
    asked = []
    monkeypatch.setattr(try_candidates, "score_of", lambda candidate, *rest: asked.append(candidate.name) or 0.5)
    nt.choose_strategy(nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits)), review_splits, options)
    assert "gradual" in asked


@pytest.mark.usefixtures("rows_are_many")
def test_where_memory_is_short_nothing_that_trains_all_weights_is_tried(
    checkpoint, review_splits, options, monkeypatch
):
    monkeypatch.setattr(try_candidates, "LEAST", 5)
    monkeypatch.setattr(nt.strategies.Gradual, "tried_by_auto", classmethod(lambda cls, rows, labels: True))
    monkeypatch.setattr(choose_strategy, "_fitting", lambda *rest: ("lora", "little memory"))
    asked = []
    monkeypatch.setattr(try_candidates, "score_of", lambda candidate, *rest: asked.append(candidate.name) or 0.5)
    nt.choose_strategy(nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits)), review_splits, options)
    assert "lora" in asked
    assert not {"gradual", "head_then_full"} & set(asked)


@pytest.mark.usefixtures("rows_are_many")
def test_where_the_usual_one_cannot_be_trained_the_best_of_the_others_is_tried(
    checkpoint, review_splits, options, monkeypatch
):
    monkeypatch.setattr(try_candidates, "LEAST", 5)
    monkeypatch.setattr(nt.strategies.Gradual, "tried_by_auto", classmethod(lambda cls, rows, labels: True))
    scores = {"head_then_full": None, "lora": 0.4, "gradual": 0.8}
    monkeypatch.setattr(try_candidates, "score_of", lambda candidate, *rest: scores.get(candidate.name, 0.1))
    choice = nt.choose_strategy(
        nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits)), review_splits, options
    )
    assert choice.name == "gradual"


def test_many_rows_need_no_trial(asked, checkpoint, review_splits, options, monkeypatch):
    monkeypatch.setattr(choose_strategy, "_MANY", 64)
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    assert nt.choose_strategy(model, review_splits, options).name == "head_then_full"
    assert asked == []


@pytest.mark.usefixtures("rows_are_many")
def test_what_needs_validation_rows_does_not_keep_trials_from_running(checkpoint, review_splits, options):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    choice = nt.choose_strategy(model, review_splits, replace(options, restart_on_collapse=2, num_train_epochs=1))
    assert {name.partition(":")[0] for name in choice.scores} == {"features", "head_then_full"}


def test_the_first_round_has_rows_of_every_label(review_splits):
    rows, seen = review_splits.train, []
    rare = [place for place, label in enumerate(rows.data["label"]) if label == "praise"][:2]
    often = [place for place, label in enumerate(rows.data["label"]) if label == "complaint"]
    few = replace(rows, data=rows.data.select([*often, *rare]))
    for seed in range(5):
        halved("abc", lambda name, some: seen.append(some.data["label"][:]) or 0.0, few, seed)
    first = seen[::5]
    assert {len(labels) for labels in first} == {len(few.data) // 4}
    assert all(set(labels) == {"complaint", "praise"} for labels in first)


def test_half_a_choice_counts_as_none(tmp_path):
    (tmp_path / "logs").mkdir()
    for half in ('{"name": "full", "opt', '{"name": "full"}', "[]"):
        (tmp_path / "logs" / "strategy.json").write_text(half)
        assert choose_strategy.read_choice(tmp_path) is None


def test_features_are_taken_where_more_than_chance_speaks_for_them():
    def decided(features, judged):
        return _decided("head_then_full", "features:svm", {"features:svm": features, "head_then_full": 0.8}, judged)[0]

    assert decided(0.84, judged=400) == "features:svm"  # a standard error of 1.8
    assert decided(0.84, judged=50) == "head_then_full"  # of 5.2
    assert decided(0.79, judged=4000) == "head_then_full"
    assert _decided("head_then_full", "features:svm", {"head_then_full": 0.1}, 50)[0] == "head_then_full"
    assert _decided("head_then_full", "features:svm", {"features:svm": 0.1}, 50)[0] == "features:svm"
    assert _decided("head_then_full", "features:svm", {}, 50)[0] == "head_then_full"


def test_few_rows_a_label_are_learned_by_what_does_best_on_as_many(
    asked, checkpoint, review_splits, options, monkeypatch
):
    """`few_shot` is tried beside the others on all rows that are left, and below 10 a label they have to lead it."""
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    choice = nt.choose_strategy(model, review_splits, options)
    assert [(name, len(learned)) for name, learned, *_ in asked[-3:]] == [
        ("features:linear_svm", 43), ("head_then_full", 43), ("few_shot", 43)
    ]  # fmt: skip
    assert choice.name == "head_then_full"
    assert choice.reasons[1].endswith("features:linear_svm 70.0, head_then_full 80.0, few_shot 78.0.")
    monkeypatch.setattr(choose_strategy, "_SCARCE", 33)
    choice = nt.choose_strategy(model, review_splits, options)
    assert (choice.name, choice.strategy) == ("few_shot", nt.strategies.FewShot())
    assert choice.reasons[2].startswith("auto: few_shot, since head_then_full leads by 2.0, no more than a standard")


@pytest.mark.usefixtures("rows_are_many")
def test_the_number_of_rows_settles_it_where_they_are_many_or_few(
    asked, checkpoint, review_splits, options, monkeypatch
):
    def choice(rows):
        splits = nt.splits_from(rows, rows)
        return nt.choose_strategy(nt.TransferModel.load(checkpoint(), nt.text_head_for(splits)), splits, options)

    rows = review_splits.train.data.to_pandas()[["text", "label"]]
    few = choice(rows[:24])
    assert few.name == "few_shot"
    assert few.reasons[1:] == (
        "auto: fewer than 40 rows are too few to try anything on.",
        "auto: few_shot, which begins with what labels mean (--strategy names another).",
    )
    assert choice(rows[:24].assign(label=[i / 7 for i in range(24)])).name == "features"
    alone = rows[:48].assign(label=[f"label {i}" for i in range(48)])
    one_each = choice(alone)
    assert one_each.reasons[1] == "auto: no label has rows enough to hold some out, so no trials are run."
    assert one_each.name == "few_shot"
    monkeypatch.setattr(choose_strategy, "_SCARCE", 33)
    assert choice(rows).reasons[2] == (
        "auto: head_then_full, which leads by 10.0, more than a standard error (8.7) (--strategy names another)."
    )
    asked.clear()
    monkeypatch.setattr(choose_strategy, "_ENOUGH", 32)
    assert choice(rows).reasons[2] == ("auto: head_then_full, which does best on many rows (--strategy names another).")
    assert asked == []


def test_tags_are_learned_by_the_encoder_whatever_their_number(asked, checkpoint, sentences, options):
    head, splits = nt.NERHead.for_splits(nt.load_splits(nt.DataOptions(train_file=sentences["train"]), "ner"))
    model = nt.TransferModel.load(checkpoint(), head)
    for rows in (10, len(splits.train.data)):
        few = replace(splits, train=replace(splits.train, data=splits.train.data.select(range(rows))))
        assert nt.choose_strategy(model, few, options).name == "head_then_full"
    assert asked == []


@pytest.mark.usefixtures("rows_are_many")
def test_what_does_not_fit_into_memory_is_not_chosen(asked, checkpoint, review_splits, sentences, options, monkeypatch):
    def choice(free, splits=review_splits, head=None):
        asked.clear()
        monkeypatch.setattr(choose_strategy, "free_memory", lambda device: free * 10**9)
        model = nt.TransferModel.load(checkpoint(), head or nt.text_head_for(splits))
        return nt.choose_strategy(model, splits, options)

    def takes(encoder, lengths, rows, precision, all_weights, on_gpu):
        assert (len(lengths), rows) in {(64, 8), (58, 8)}  # texts, sentences
        return (20 if all_weights else 10) * 10**9

    monkeypatch.setattr(choose_strategy, "training_memory", takes)
    assert "head_then_full" in choice(26).scores
    by_lora = choice(15)
    assert set(by_lora.scores) == {"features:linear_svm", "lora"}
    assert by_lora.reasons[0].endswith("weights; full fine-tuning needs about 20.0 GB (12.0 GB available).")
    by_none = choice(11)
    assert (by_none.name, asked) == ("features", [])
    assert by_none.reasons[1:] == (
        "auto: training the encoder needs more memory than that (less with a smaller --per_device_train_batch_size).",
        "auto: features, which only runs it (--strategy names another).",
    )
    assert choice(11, head=nt.text_head_for(review_splits, hidden=(8,))).name == "freeze"
    head, tags = nt.NERHead.for_splits(nt.load_splits(nt.DataOptions(train_file=sentences["train"]), "ner"))
    assert choice(15, tags, head).reasons[2] == (
        "auto: lora, whose few weights fit into memory (--strategy names another)."
    )
    monkeypatch.setattr(choose_strategy, "_ENOUGH", 32)
    assert choice(15).name == "lora"


def test_what_a_step_holds_depends_on_device_processes_windows_and_shards(
    checkpoint, review_splits, options, monkeypatch
):
    def asked(device, processes=1, **head):
        calls = []
        model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits, **head), max_length=6)
        inputs = TokenInputs(model.encode(review_splits.train.data), model.pad_id)
        windows = np.bincount(np.searchsorted(inputs.firsts, np.arange(len(inputs.lengths)), side="right")).max()

        def takes(encoder, lengths, rows, precision, all_weights, on_gpu):
            calls.append((rows, on_gpu))
            return 10**9

        monkeypatch.setattr(choose_strategy, "training_memory", takes)
        here = SimpleNamespace(device=torch.device(device), num_processes=processes, mixed_precision="bf16")
        memory = choose_strategy._fitting(model.encoder, inputs, options, here)[1]
        return *calls[0], windows, memory.split()[4]

    monkeypatch.setattr(choose_strategy, "free_memory", lambda device: 10**10)
    monkeypatch.setattr(choose_strategy, "broadcast_object_list", lambda told: told)
    assert asked("cpu") == (8, False, 1, "1.0")
    assert asked("cpu", processes=4) == (8, False, 1, "4.0")
    assert asked("cuda", processes=4) == (1, True, 1, "1.0")
    rows, _, windows, _ = asked("cpu", long_texts="window")
    assert rows == 8 * windows > 8
    monkeypatch.setattr(choose_strategy.fsdp, "is_requested", lambda: True)
    assert choose_strategy._fitting(None, None, options, None)[0] == "head_then_full"


def test_a_run_goes_on_with_what_it_chose(task_flags, training_flags, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--strategy", "auto", "--output_dir", "run"]
    outcome = run_recipe("classify", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    written = json.loads((tmp_path / "run" / "transfer.json").read_text())
    chosen = written["auto"]
    said = [line for line in outcome.err.splitlines() if line.startswith("auto: ")]
    assert said[-3:] == chosen["reasons"]
    assert written["options"]["strategy"] == chosen["name"] != "auto"
    options = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert options["strategy"] == chosen["name"]
    options["output_dir"] = "again"
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(options))
    again = run_recipe("classify", ["--config", "again.yaml"], tmp_path)
    assert again.status == 0, again.err
    assert "auto:" not in again.err
    of_both = [json.loads((tmp_path / run / "metrics.json").read_text())["test"] for run in ("run", "again")]
    assert of_both[0] == of_both[1]


def test_a_tagger_says_what_it_takes(task_flags, training_flags, tmp_path):
    flags = [*task_flags["ner"], *training_flags, "--strategy", "auto", "--output_dir", "run"]
    outcome = run_recipe("ner", flags, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "auto: head_then_full, which does not need many rows (--strategy names another)." in outcome.err
    assert json.loads((tmp_path / "run" / "transfer.json").read_text())["auto"]["name"] == "head_then_full"


def test_a_run_that_was_stopped_does_not_choose_again(asked, task_flags, training_flags, tmp_path):
    flags = [*task_flags["classify"], *training_flags, "--strategy", "auto", "--output_dir", "run"]
    with pytest.MonkeyPatch.context() as patch:
        update = Progress.update

        def stopped_at_step_3(self, step):
            if step.number == 3:
                signal.raise_signal(signal.SIGTERM)
            update(self, step)

        patch.setattr(Progress, "update", stopped_at_step_3)
        assert run_recipe("classify", flags, tmp_path).status == 143
    asked.clear()
    outcome = run_recipe("classify", [*flags, "--resume"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Strategy head_then_full, as chosen when the run began." in outcome.err
    assert "Resuming from" in outcome.err
    assert asked == []
    assert json.loads((tmp_path / "run" / "transfer.json").read_text())["auto"]["name"] == "head_then_full"


def test_auto_takes_no_option_of_a_strategy_and_fit_takes_no_auto(checkpoint, review_splits, options):
    with pytest.raises(nt.OptionError, match="--lora_r is an option of --strategy lora; name the strategy"):
        nt.strategy_from(nt.StrategyOptions(strategy="auto", lora_r=4))
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    with pytest.raises(nt.OptionError, match="the strategy auto is chosen before fit"):
        nt.fit(model, review_splits, options, strategy="auto")


def test_the_strategy_and_the_options_that_name_it_are_returned_and_nothing_else_changes(
    asked, checkpoint, review_splits, options, tmp_path
):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))
    run = {"model": model, "splits": review_splits, "accelerator": nt.make_accelerator(options),
           "cache": nt.CacheOptions()}  # fmt: skip
    auto = nt.StrategyOptions(strategy="auto")
    strategy, named = nt.resolve_strategy(nt.strategy_from(auto), auto, training=options, folder=tmp_path, **run)
    assert (strategy, named) == (nt.strategies.HeadThenFull(), nt.StrategyOptions(strategy="head_then_full"))
    assert auto == nt.StrategyOptions(strategy="auto")
    lora = nt.StrategyOptions(strategy="lora", lora_r=4)
    unchanged = nt.resolve_strategy(nt.strategy_from(lora), lora, training=options, folder=tmp_path, **run)
    assert unchanged == (nt.strategies.Lora(lora_r=4), lora)
    with pytest.warns(DeprecationWarning, match=r"nt\.settled is now nt\.resolve_strategy"):
        strategy = nt.settled(nt.strategy_from(auto), auto, options=options, folder=tmp_path, **run)
    assert (strategy, auto) == (nt.strategies.HeadThenFull(), named)
