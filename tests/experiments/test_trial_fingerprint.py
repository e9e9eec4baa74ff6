"""A fingerprint differs where results would, and says in a user's words what changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

import nlp_transfer as nt
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.trial import TrialSetup
from nlp_transfer.experiments.trial_fingerprint import encoder_weights, fingerprint
from nlp_transfer.training.checkpointing.fingerprint import changes


@pytest.fixture
def setup(review_splits, options):
    return TrialSetup(nt.text_head_for(review_splits), nt.ModelOptions(), options)


def test_options_that_change_no_result_are_not_in_it(setup, review_splits):
    free = {"seed": 5, "logging_steps": 1, "verify": False, "report_to": ["tensorboard"], "processes": 2}
    other = replace(setup, training=replace(setup.training, **free))
    assert fingerprint(other, review_splits, ()) == fingerprint(setup, review_splits, ())


def test_options_that_change_results_are_named(setup, review_splits):
    before = fingerprint(setup, review_splits, ())
    training = replace(setup.training, weight_decay=0.5, metric_for_best_model="macro_f1")
    head = nt.text_head_for(review_splits, pooling="mean")
    other = TrialSetup(head, nt.ModelOptions(max_length=9), training, nt.CacheOptions(cache_dtype="bf16"))
    fewer = replace(review_splits, test=None)
    assert changes(before, fingerprint(other, fewer, ())) == [
        "--weight_decay was 0.01 and is 0.5",
        "--metric was accuracy and is macro_f1",
        "--pooling was none and is mean",
        "--cache_dtype was auto and is bf16",
        "the test rows changed",
        "--max_length was none and is 9",
    ]


def test_files_count_by_what_they_hold(setup, review_splits, tmp_path, checkpoint):
    path = tmp_path / "source.csv"
    candidate = Candidate("replay", "an-encoder", "replay", (("source_file", str(path)), ("source_weight", 0.5)))
    path.write_text("one")
    before = fingerprint(setup, review_splits, [candidate])
    path.write_text("two")
    after = fingerprint(setup, review_splits, [candidate])
    assert changes(before, after) == ["--source_file of replay changed"]
    weights = [encoder_weights(checkpoint(family), setup.model) for family in ("bert", "roberta")]
    assert len({digest for one in weights for digest in one.values()}) == 2
    with pytest.raises(nt.ModelError, match="there is no folder nowhere/at/all"):
        encoder_weights("nowhere/at/all", setup.model)
