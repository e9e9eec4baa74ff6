"""Results are shown in one line."""

from __future__ import annotations

from nlp_transfer.types import RunResult


def test_a_result_is_shown_in_one_line():
    history = ({"step": 10, "loss": 0.5},) * 100
    result = RunResult("accuracy", 0.91236, 3.0, 1200, 14.2, 80.0, history=history)
    assert repr(result) == "RunResult(accuracy 0.9124 at epoch 3, 1,200 steps, 14 s)"
    assert repr(RunResult("accuracy", None, None, 1, 0.42, 80.0)) == "RunResult(1 step, 0.4 s)"
