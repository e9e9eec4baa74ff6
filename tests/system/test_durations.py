"""Durations are told in the unit that suits them, whatever their size."""

from __future__ import annotations

import pytest

from nlp_transfer.system.durations import in_words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (89.4, "89 s"), (90, "2 min"), (3569, "59 min"),
     (3571, "1 h 0 min"), (4000, "1 h 7 min"), (90000, "25 h 0 min")],
)  # fmt: skip
def test_a_duration_is_told_in_the_unit_that_suits_it(seconds, told):
    assert in_words(seconds) == told
