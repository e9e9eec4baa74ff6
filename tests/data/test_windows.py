"""Windows lose no word and predict none twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.data.windows import windows


@settings(deadline=None, max_examples=300)
@given(st.data(), st.integers(1, 30))
def test_every_word_is_predicted_once_inside_a_window_that_fits(data, budget):
    lengths = data.draw(st.lists(st.integers(1, budget), max_size=120))
    cuts = windows(lengths, budget)
    predicted = [word for cut in cuts for word in range(cut.own, cut.own_end)]
    assert predicted == list(range(len(lengths)))
    for cut in cuts:
        assert cut.start <= cut.own <= cut.own_end <= cut.end
        assert sum(lengths[cut.start : cut.end]) <= budget


def test_a_short_text_is_one_window():
    assert windows([1, 2, 1], 10) == [(0, 3, 0, 3)]


def test_no_words_are_one_empty_window():
    assert windows([], 10) == [(0, 0, 0, 0)]


def test_words_at_a_border_have_context_on_both_sides():
    cuts = windows([1] * 100, 20)
    for cut in cuts[1:]:
        assert cut.own - cut.start >= 2
    for cut in cuts[:-1]:
        assert cut.end - cut.own_end >= 2
