"""What nobody sets follows a rule; what somebody sets stays."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pandas as pd
import pytest
import yaml
from conftest import run_recipe

import nlp_transfer as nt
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.training.defaults import Facts, usual_rate, usual_values, with_defaults

LEFT_OPEN = (
    "learning_rate", "num_train_epochs", "per_device_train_batch_size", "warmup_ratio", "early_stopping_patience",
)  # fmt: skip


@pytest.fixture
def model(checkpoint, review_splits):
    return nt.TransferModel.load(checkpoint(), nt.text_head_for(review_splits))


def test_smaller_encoders_learn_faster():
    full = nt.strategies.Full()
    sizes = {"tiny": (32, 2), "MiniLM-L6": (384, 6), "base": (768, 12), "large": (1024, 24)}
    rates = {name: usual_rate(full, *size) for name, size in sizes.items()}
    assert rates == {"tiny": 4e-4, "MiniLM-L6": 2e-4, "base": 5e-5, "large": 2.3e-5}
    assert usual_rate(nt.strategies.Freeze(), 384, 6) == usual_rate(nt.strategies.Freeze(), 1024, 24) == 5e-3
    assert usual_rate(nt.strategies.Freeze(trainable_layers=2), 384, 6) == 2e-4


@pytest.mark.parametrize("labels_words", [False, True])
def test_fewer_rows_are_seen_more_often(labels_words):
    rows = [10, 100, 500, 501, 1000, 2000, 3000, 5000, 10_000, 10**6]
    facts = [Facts(count, 0, 384, 6, labels_words=labels_words) for count in rows]
    epochs = [usual_values(one, nt.strategies.Full())["num_train_epochs"] for one in facts]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[-1] >= 2


def test_what_learns_more_slowly_sees_rows_more_often():
    epochs = {
        name: usual_values(Facts(9000, 0, 384, 6), nt.strategy_named(name))["num_train_epochs"]
        for name in ("full", "head_then_full", "lora", "freeze", "scratch")
    }
    assert epochs == {"full": 2, "head_then_full": 2, "lora": 4, "freeze": 10, "scratch": 6}


def test_few_rows_a_label_are_seen_twice_as_often_and_long_texts_make_small_batches():
    full = nt.strategies.Full()
    few, many = (usual_values(Facts(1000, 0, 384, 6, labels=labels), full) for labels in (77, 2))
    assert few["num_train_epochs"] == 2 * many["num_train_epochs"]
    batches = [usual_values(Facts(9000, 0, 384, 6, tokens=tokens), full) for tokens in (128, 256, 512, 8192)]
    assert [values["per_device_train_batch_size"] for values in batches] == [32, 32, 16, 8]


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "replay"])
def test_everything_has_a_value_and_what_is_set_stays(model, review_splits, name):
    taken = with_defaults(nt.TrainingOptions(), model, review_splits, nt.strategy_named(name))
    assert all(getattr(taken, option) is not None for option in LEFT_OPEN)
    given = nt.TrainingOptions(
        learning_rate=1e-6, num_train_epochs=7, per_device_train_batch_size=3, warmup_ratio=0.0,
        early_stopping_patience=4,
    )  # fmt: skip
    assert with_defaults(given, model, review_splits, nt.strategy_named(name)) == given


def test_processes_and_parts_share_the_batch(model, review_splits):
    full = nt.strategies.Full()
    alone = with_defaults(nt.TrainingOptions(), model, review_splits, full).per_device_train_batch_size
    shared = with_defaults(nt.TrainingOptions(gradient_accumulation_steps=2), model, review_splits, full, processes=4)
    assert shared.per_device_train_batch_size == alone // 8


def test_few_validation_rows_stop_nothing(model, review_splits):
    def patience(rows):
        validation = review_splits.train.data.select([i % 64 for i in range(rows)])
        splits = replace(review_splits, validation=replace(review_splits.train, data=validation))
        options = with_defaults(nt.TrainingOptions(), model, splits, nt.strategies.Full())
        return options.early_stopping_patience

    assert patience(99) == 0
    assert patience(100) > 0
    without = replace(review_splits, validation=None)
    assert with_defaults(nt.TrainingOptions(), model, without, nt.strategies.Full()).early_stopping_patience == 0


def test_fixed_defaults_are_those_of_before(model, review_splits):
    fixed = with_defaults(nt.TrainingOptions(defaults="fixed"), model, review_splits, nt.strategies.Full())
    expected = {"learning_rate": 5e-5, "num_train_epochs": 30, "per_device_train_batch_size": 16, "warmup_ratio": 0.06,
                "early_stopping_patience": 0}  # fmt: skip
    assert {option: getattr(fixed, option) for option in LEFT_OPEN} == expected


def test_options_yaml_holds_the_values_that_were_taken_and_repeats_the_run(task_flags, checkpoint, tmp_path):
    flags = [*task_flags["classify"], "--model_name_or_path", checkpoint(), "--mixed_precision", "no", "--report",
             "false", "--verify", "false"]  # fmt: skip
    first = run_recipe("classify", [*flags, "--strategy", "head_then_full", "--output_dir", "run"], tmp_path)
    assert first.status == 0, first.err
    assert "Not given, and taken for these rows and this encoder: --num_train_epochs" in first.err
    written = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert all(written[option] is not None for option in LEFT_OPEN)
    assert written["pooling"] == "native"
    again = run_recipe("classify", ["--config", "run/options.yaml", "--output_dir", "again"], tmp_path)
    assert again.status == 0, again.err
    assert "Not given" not in again.err
    both = [json.loads((tmp_path / run / "metrics.json").read_text())["test"] for run in ("run", "again")]
    assert both[0] == both[1]


def test_an_options_file_of_the_release_before_repeats_its_run(task_flags, checkpoint, tmp_path):
    """It says `learning_rate: null`, and has no `defaults`: 5e-5, 16 rows and 300 steps are meant."""
    flags = [*task_flags["classify"], "--model_name_or_path", checkpoint(), "--mixed_precision", "no"]
    groups = [nt.ModelOptions(), nt.DataOptions(), nt.ClassificationOptions(pooling="native"), nt.TrainingOptions()]
    values = {field.name: getattr(group, field.name) for group in groups for field in fields(group)}
    values |= {"per_device_train_batch_size": 16, "warmup_ratio": 0.06, "strategy": "full", "verify": False}
    del values["defaults"]
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(values))
    outcome = run_recipe("classify", [*flags, "--config", "old.yaml", "--output_dir", "run"], tmp_path)
    assert outcome.status == 0, outcome.err
    taken = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert (taken["learning_rate"], taken["num_train_epochs"], taken["early_stopping_patience"]) == (5e-5, 30, 0)
    assert (taken["strategy"], taken["pooling"], taken["defaults"]) == ("full", "native", "fixed")


def test_a_share_that_was_given_stands_in_options_yaml_as_it_was_given(reviews, checkpoint, tmp_path):
    flags = ["--train_file", reviews["train"], "--model_name_or_path", checkpoint(), "--report", "false"]
    flags += ["--verify", "false", "--strategy", "features"]
    for given, written in ((["--validation_split_percentage", "7"], 7.0), ([], 10.0)):
        folder = f"run{len(given)}"
        assert run_recipe("classify", [*flags, *given, "--output_dir", folder], tmp_path).status == 0
        options = yaml.safe_load((tmp_path / folder / "options.yaml").read_text())
        assert options["validation_split_percentage"] == written


def test_the_share_that_was_taken_of_many_rows_gives_the_same_rows_again():
    texts = pd.DataFrame({"text": [f"text {i}" for i in range(12_345)], "label": ["a", "b", "c"] * 4115})
    first = nt.splits_from(texts, task="classification")
    assert len(first.validation.data) == 1000
    again = nt.splits_from(texts, options=nt.DataOptions(validation_split_percentage=100 * first.held_out_share))
    assert again.validation.sha256 == first.validation.sha256


@pytest.mark.whole
def test_a_sentence_encoder_and_a_choice_of_auto_are_repeated_from_options_yaml(tmp_path):
    """The default command on the sample set, with the bundled encoder."""
    flags = ["--report", "false", "--verify", "false", "--num_train_epochs", "1"]
    first = run_recipe("classify", ["--strategy", "auto", *flags, "--output_dir", "run"], tmp_path)
    assert first.status == 0, first.err
    written = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert written["pooling"] == "mean"
    again = run_recipe("classify", ["--config", "run/options.yaml", "--output_dir", "again"], tmp_path)
    assert again.status == 0, again.err
    assert "auto:" not in again.err
    both = [json.loads((tmp_path / run / "metrics.json").read_text())["test"] for run in ("run", "again")]
    # Activations that the trials have cached were computed in other batches.
    assert both[1].pop("loss") == pytest.approx(both[0].pop("loss"), abs=1e-5)
    assert both[0] == both[1]
