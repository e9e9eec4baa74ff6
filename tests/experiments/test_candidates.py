"""Candidates are told from their spelling, and what makes no sense is one line."""

from __future__ import annotations

import pytest

import nlp_transfer as nt
from nlp_transfer.config.option_fields import option_of
from nlp_transfer.errors import OptionError
from nlp_transfer.experiments.candidates import candidates_from
from nlp_transfer.strategies import STRATEGIES
from nlp_transfer.strategies.strategy_registry import options_of


def test_every_strategy_stands_on_every_encoder_beside_scratch_and_the_baselines():
    told = nt.StrategyOptions(lora_dropout=0.1)
    found = candidates_from(["freeze:2", "features:svm", "lora:4"], ["a/B", "C"], told)
    assert [c.name for c in found] == [
        *("freeze:2 on B", "features:svm on B", "lora:4 on B", "scratch on B"),
        *("freeze:2 on C", "features:svm on C", "lora:4 on C", "scratch on C", "baselines"),
    ]
    assert [dict(c.options) for c in found[:4]] == [
        *({"trainable_layers": 2}, {"classifier": "svm"}, {"lora_dropout": 0.1, "lora_r": 4}, {})
    ]
    assert [c.is_baseline for c in found[:5]] == [False, False, False, True, False]
    assert len({c.key for c in found}) == len(found)
    assert found[0].flags() == ["--model_name_or_path", "a/B", "--strategy", "freeze", "--trainable_layers", "2"]
    assert [c.name for c in candidates_from(["scratch", "full"], ["C"])] == ["scratch", "full", "baselines"]


VARIANTS = [
    (name, option) for name in STRATEGIES for option, field in options_of(name).items() if option_of(field).short
]


@pytest.mark.parametrize(("strategy", "option"), VARIANTS)
def test_what_stands_behind_a_colon_is_of_the_type_of_its_option(strategy, option):
    value = "svm" if option == "classifier" else 1
    told = nt.StrategyOptions(source_file="source.csv") if strategy == "replay" else nt.StrategyOptions()
    candidate = candidates_from([f"{strategy}:{value}"], ["C"], told)[0]
    assert getattr(candidate.make(), option) == value


@pytest.mark.parametrize(
    ("strategies", "options", "said"),
    [
        (["ful"], {}, "did you mean full"),
        (["auto"], {}, "--strategies auto: auto is no candidate; list the strategies"),
        (["features:forest"], {}, "--classifier must be logistic, .*; got forest"),
        (["freeze:two"], {}, "--trainable_layers takes a whole number; got 'two'"),
        (["freeze:-1"], {}, "--trainable_layers must be 0 or more"),
        (["scratch:2"], {}, "scratch has no variants"),
        (["full"], {"lora_r": 4}, "--lora_r does not apply to any of full"),
        (["lora", "lora:16"], {"lora_r": 16}, "--strategies lora and lora:16 are the same with the options given"),
        (["lora", "lora:8"], {}, "lora and lora:8 are the same"),  # as its default says
        (["full:0.9", "full:.9"], {}, "full:0.9 and full:.9 are the same"),
        (["scratch"], {}, "--strategies scratch is always included as a baseline"),
        (["replay"], {}, "--source_file"),
        (["full"], {"strategy": "lora"}, "--strategies names"),
    ],
)
def test_what_makes_no_sense_is_refused(strategies, options, said):
    with pytest.raises(OptionError, match=said):
        candidates_from(strategies, ["C"], nt.StrategyOptions(**options))


def test_encoders_are_named_by_what_tells_them_apart_and_no_more():
    found = candidates_from(["full"], ["/home/me/a/model", "/home/me/b/model", "other/X"])
    assert [c.name for c in found[:5:2]] == ["full on a/model", "full on b/model", "full on X"]


def test_an_encoder_is_named_once():
    with pytest.raises(OptionError, match="--encoders a/b is named twice; leave one out"):
        candidates_from(["full"], ["a/b", "c", "a/b/"])


@pytest.mark.parametrize("fractions", ["0", "1.5", "-0.1", "half", "nan"])
def test_a_fraction_outside_of_0_to_1_is_refused(fractions):
    with pytest.raises(OptionError, match=r"--fractions must be more than 0 and at most 1.*got"):
        nt.CompareOptions(fractions=[fractions])


def test_lists_may_have_commas_or_blanks_between_them():
    told = nt.CompareOptions(strategies=["freeze,lora", "full"], fractions=["1.0,0.05", "0.2"])
    assert (told.strategies, told.shares) == (["freeze", "lora", "full"], [0.05, 0.2, 1.0])
