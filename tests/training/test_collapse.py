"""A network that gives all rows one label at the loss of guessing is told of once, and another is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nlp_transfer.training.collapse import Collapse

LABELS = [0] * 6 + [1] * 2
PRIOR = 0.5623
ONE = [np.array([[1.0, 0.0]])] * 8
BOTH = [*ONE[:-1], np.array([[0.0, 1.0]])]


def told(caplog: pytest.LogCaptureFixture, *seen: tuple[list[np.ndarray], float, float], **more: Any) -> int:
    collapse = Collapse()
    with caplog.at_level("INFO", "nlp_transfer"):
        for outputs, loss, epoch in seen:
            collapse.observe(outputs, LABELS, loss, epoch, remedy="Try a smaller one.", **more)
    return len(caplog.messages)


def test_it_is_said_once_after_a_whole_epoch(caplog):
    seen = [(ONE, PRIOR, 0.5), (ONE, 0.7, 1.0), (ONE, PRIOR, 1.5), (ONE, PRIOR, 2.0), (ONE, PRIOR, 3.0)]
    assert told(caplog, *seen[:2]) == 0
    assert told(caplog, *seen) == 1
    assert caplog.messages[0].startswith(
        "Collapsed or untrained: after epoch 1.5 the network predicts one label for every validation item"
    )
    assert "guessing (0.562). Try a smaller one." in caplog.messages[0]


def test_it_is_said_when_the_run_ends(caplog):
    assert told(caplog, (ONE, PRIOR, 0.9), run_ends=True) == 0
    assert told(caplog, (ONE, PRIOR, 1.0), run_ends=True) == 1


def test_it_is_said_where_patience_has_run_out_with_one_label_at_its_best(caplog):
    assert told(caplog, (BOTH, PRIOR, 0.2), (ONE, PRIOR, 0.3), (ONE, PRIOR, 0.4), best=0.2) == 0
    assert told(caplog, (ONE, PRIOR, 0.2), (ONE, PRIOR, 0.3), best=0.2) == 1


@pytest.mark.parametrize("other", [(BOTH, PRIOR, 1.5), (ONE, 0.5, 1.5)])
def test_a_network_that_tells_rows_apart_or_knows_more_than_shares_has_not_collapsed(caplog, other):
    assert told(caplog, (ONE, PRIOR, 1.0), other, (ONE, PRIOR, 2.0)) == 0


def test_where_all_rows_have_one_label_that_is_right(caplog):
    collapse = Collapse()
    with caplog.at_level("INFO", "nlp_transfer"):
        collapse.observe(ONE, [0] * 8, 0.0, 1.0, run_ends=True)
    assert caplog.messages == []
