"""What may be tried is what nobody has said, in ranges that suit the strategy."""

from __future__ import annotations

import dataclasses

import optuna
import pytest

import nlp_transfer as nt
from nlp_transfer.experiments.tune.search_space import Choice, Range, space_of, suggested, usual
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.training.defaults import usual_rate

TAKEN = nt.TrainingOptions(warmup_ratio=0.1, per_device_train_batch_size=32)
"""What the rule takes."""

LEARNED = [name for name in STRATEGIES if name != "replay"]


def space(*strategies, search=(), width=384, depth=6, epochs=3, training=None, **given):
    training = training or nt.TrainingOptions()
    return space_of(strategies, search, nt.StrategyOptions(**given), training, width, depth, epochs, rows=900)


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_suggested_makes_a_strategy_and_options_of_training(name):
    trial = optuna.create_study().ask()
    strategy, settings = suggested(trial, space(name))
    own = {field.name for field in dataclasses.fields(STRATEGIES[name])}
    nt.strategy_named(strategy, **{option: value for option, value in settings.items() if option in own})
    nt.TrainingOptions(**{option: value for option, value in settings.items() if option not in own})
    assert ("learning_rate" in settings) == ("num_train_epochs" in settings) == (name != "features")


@pytest.mark.parametrize("name", LEARNED)
def test_what_a_run_would_take_that_is_told_nothing_is_within_the_space(name):
    (parameters,) = usual(space(name), nt.StrategyOptions(), TAKEN, 3, 900, width=384, depth=6)
    assert parameters.keys() == {"strategy"} | {f"{name}.{option}" for option in space(name)[name]}
    study = optuna.create_study()
    study.enqueue_trial(parameters)
    _, settings = suggested(study.ask(), space(name))
    default = nt.strategy_named(name, **({"trainable_layers": 1} if name == "freeze" else {}))
    if name != "features":
        assert settings.pop("learning_rate") == usual_rate(default, width=384, depth=6)
        assert settings.pop("num_train_epochs") == default.usual_epochs(3, 900)
    assert settings.pop("head_epochs", 3) == 3  # as many as those of all weights
    assert settings == {option: getattr(default, option) for option in settings}


def test_what_is_said_is_not_searched():
    assert space("full", layer_lr_decay=0.9)["full"].keys() == {"learning_rate", "num_train_epochs"}
    training = nt.TrainingOptions(learning_rate=1e-4, num_train_epochs=2)
    assert space("lora", "full", training=training, lora_r=2) == {"lora": {}, "full": {"layer_lr_decay": Range(0.8, 1)}}
    assert "num_train_epochs" not in space("full", training=nt.TrainingOptions(max_train_steps=9))["full"]


def test_what_is_searched_instead():
    asked = ["learning_rate=1e-5..5e-4", "lora_r=2..64", "warmup_ratio=0..0.2", "sampling=natural,balanced"]
    found = space("lora", "features", search=asked)
    assert found["lora"] == {
        "learning_rate": Range(1e-5, 5e-4, log=True),
        "num_train_epochs": Range(3, 12, whole=True),
        "lora_r": Range(2, 64, log=True, whole=True),
        "warmup_ratio": Range(0, 0.2),
        "sampling": Choice(("natural", "balanced")),
    }
    assert found["features"].keys() == {"classifier"}


@pytest.mark.parametrize(
    ("strategies", "options", "line"),
    [
        (["fully"], {}, "--strategy fully is unknown; did you mean full?"),
        (["full", "auto"], {}, "--strategies auto: auto is no candidate"),
        (["replay"], {}, "needs the rows that it replays"),
        (["full"], {"lora_r": 4}, "--lora_r applies to --strategy lora only, not among --strategies"),
        (["full"], {"search": ["lora_r=2,4"]}, "--lora_r applies to --strategy lora only, not among --strategies"),
        (["lora"], {"search": ["lora_r=2,4"], "lora_r": 4}, "--lora_r is fixed and searched"),
        (["lora"], {"search": ["lora_r=2.5..8"]}, "lora_r takes whole numbers"),
        (["full"], {"search": ["learning_rate=1..0.1"]}, "the first number must be the smaller one"),
        (["full"], {"search": ["learning_rate"]}, "takes NAME=LOW..HIGH or NAME=A,B,C"),
        (["full"], {"search": ["seed=1,2"]}, "takes NAME=LOW..HIGH or NAME=A,B,C; of an option of a strategy"),
        (["full"], {"search": ["lerning_rate=1..2"]}, "did you mean learning_rate?"),
    ],
)
def test_what_cannot_be_searched_is_told(strategies, options, line):
    with pytest.raises(nt.OptionError) as error:
        space(*strategies, **options)
    assert line in str(error.value)
