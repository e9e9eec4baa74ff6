"""The best evaluation is the one with the best score, and among equals the one with the lowest loss."""

from __future__ import annotations

import math

import pytest
import torch

from nlp_transfer.training.best_weights import BestWeights


def test_of_evaluations_that_tie_the_one_of_least_loss_is_kept_and_patience_counts_them():
    network = torch.nn.Linear(2, 2)
    best = BestWeights("accuracy", dict(network.named_parameters()))
    best.start_stage()
    seen = [(0.5, 0.1), (0.8, 0.9), (0.8, 0.6), (0.8, 0.6), (0.8, 0.7), (0.8, math.nan), (0.7, 0.1)]
    for number, (accuracy, loss) in enumerate(seen, start=1):
        with torch.no_grad():
            network.weight.fill_(float(number))
        best.update(float(number), {"accuracy": accuracy, "loss": loss})
    assert (best.score, best.loss, best.epoch, best.misses) == (0.8, 0.6, 3.0, 5)
    again = BestWeights("accuracy", {})
    again.load_state_dict(best.state_dict(), {})
    assert again.state_dict() == best.state_dict()
    assert best.restore() == 0.8
    assert network.weight.unique().tolist() == [3.0]


@pytest.mark.parametrize(("metric", "scores"), [("loss", (2.0, 1.0, 1.5)), ("mae_steps", (0.9, 0.3, 0.4))])
def test_less_of_an_error_is_better(metric, scores):
    best = BestWeights(metric, {})
    for number, score in enumerate(scores, start=1):
        best.update(float(number), {metric: score})
    assert (best.restore(), best.epoch) == (scores[1], 2.0)


def test_patience_runs_out_after_so_many_evaluations_that_were_no_better():
    best = BestWeights("accuracy", {})
    for accuracy in (0.5, 0.5, 0.4):
        best.update(1.0, {"accuracy": accuracy})
    assert [best.has_stalled(patience) for patience in (None, 3, 2)] == [False, False, True]


def test_a_loss_that_falls_is_progress_where_the_score_stands_still():
    """The strict F1 of a tagger is 0 at first."""
    best = BestWeights("f1_strict", {})
    misses = []
    for loss in (0.9, 0.5, math.nan, 0.3, 0.299, 0.31):
        best.update(1.0, {"f1_strict": 0.0, "loss": loss})
        misses.append(best.misses)
    assert misses == [0, 0, 1, 0, 1, 2]


def test_a_stage_is_measured_by_itself():
    """All weights begin below what the head alone has reached, and may still get beyond it."""
    best = BestWeights("accuracy", {})
    best.update(1.0, {"accuracy": 0.9, "loss": 0.3})
    best.start_stage()
    misses = []
    for accuracy in (0.7, 0.8, 0.85):
        best.update(2.0, {"accuracy": accuracy, "loss": 0.5})
        misses.append(best.misses)
    assert (misses, best.score) == ([0, 0, 0], 0.9)
