"""The decoder gives the best of all possible sequences, and nothing impossible."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nlp_transfer.data.tag_schemes import SCHEMES, allowed, convert, tag_names
from nlp_transfer.decoding.viterbi import decode

unhurried = settings(deadline=None)  # a busy machine is no failure

# Eighths add up exactly, so that equal sums are equal.
eighths = st.integers(-40, 0).map(lambda n: n / 8)


def possible_paths(words, start, end, move):
    for path in product(range(len(start)), repeat=words):
        if start[path[0]] and end[path[-1]] and all(move[a][b] for a, b in pairwise(path)):
            yield list(path)


def total(scores, path):
    return sum(scores[word, label] for word, label in enumerate(path))


@unhurried
@given(data=st.data())
def test_finds_the_best_of_all_possible_sequences(data):
    words, labels = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    scores = data.draw(arrays(np.float32, (words, labels), elements=eighths))
    start, end = (data.draw(arrays(bool, labels)) for _ in range(2))
    move = data.draw(arrays(bool, (labels, labels)))
    possible = list(possible_paths(words, start, end, move))
    if not possible:
        with pytest.raises(ValueError, match="no sequence"):
            decode(scores, start, end, move)
        return
    path, score = decode(scores, start, end, move)
    assert path in possible
    assert score == total(scores, path) == max(total(scores, other) for other in possible)


@pytest.mark.parametrize("scheme", SCHEMES)
@unhurried
@given(data=st.data())
def test_what_it_gives_is_valid_in_the_scheme_even_where_every_label_has_probability_zero(scheme, data):
    names = tag_names(["A", "B"], scheme)
    shape = (data.draw(st.integers(0, 12)), len(names))
    scores = data.draw(arrays(np.float64, shape, elements=st.one_of(eighths, st.just(-np.inf))))
    path, _ = decode(scores, *allowed(scheme, names))
    tags = [names[label] for label in path]
    assert convert(tags, scheme, scheme) == tags
    assert len(tags) == len(scores)


@unhurried
@given(data=st.data())
def test_takes_as_few_labels_of_probability_zero_as_it_can(data):
    transitions = allowed("BIOES", tag_names(["A"], "BIOES"))
    scores = data.draw(arrays(np.float64, (3, 5), elements=st.one_of(eighths, st.just(-np.inf))))

    def rank(path):
        taken = [scores[word, label] for word, label in enumerate(path)]
        return -taken.count(-np.inf), sum(score for score in taken if score > -np.inf)

    path, _ = decode(scores, *transitions)
    best = max(rank(other) for other in possible_paths(3, *transitions))
    assert rank(path) == best


@unhurried
@given(data=st.data())
def test_gives_the_most_likely_labels_where_they_are_possible(data):
    names = tag_names(["A", "B"], "IOB2")
    scores = data.draw(arrays(np.float64, (6, len(names)), elements=eighths))
    likeliest = scores.argmax(axis=1).tolist()
    tags = [names[label] for label in likeliest]
    path, _ = decode(scores, *allowed("IOB2", names))
    assert (path == likeliest) == (convert(tags, "IOB2", "IOB2") == tags)


def test_mends_a_tag_that_cannot_stand_where_it_is():
    names = tag_names(["PER", "LOC"], "IOB2")
    scores = np.log([[0.1, 0.4, 0.1, 0.3, 0.1], [0.1, 0.1, 0.2, 0.1, 0.5]])
    path, score = decode(scores, *allowed("IOB2", names))
    assert [names[label] for label in path] == ["B-LOC", "I-LOC"]
    assert score == pytest.approx(np.log(0.3 * 0.5))


def test_equal_sums_give_the_same_answer_every_time():
    transitions = allowed("BIOES", tag_names(["A", "B"], "BIOES"))
    assert decode(np.zeros((5, 9)), *transitions) == ([0] * 5, 0.0)
    only_inside = np.zeros((2, 9))
    only_inside[0, [2, 6]] = 1.0  # I-A and I-B cannot start: every other start is as good
    assert decode(only_inside, *transitions)[0] == [0, 0]


def test_no_words_no_labels():
    assert decode(np.zeros((0, 3)), *allowed("IOB2", tag_names(["A"], "IOB2"))) == ([], 0.0)


def test_a_network_that_has_diverged_is_not_decoded():
    with pytest.raises(ValueError, match="NaN"):
        decode([[0.0, np.nan]], [True, True], [True, True], [[True, True], [True, True]])


def test_a_long_sentence_with_many_labels():
    names = tag_names([str(n) for n in range(25)], "BIOES")
    scores = np.random.default_rng(0).normal(size=(3000, len(names)))
    path, _ = decode(scores, *allowed("BIOES", names))
    tags = [names[label] for label in path]
    assert convert(tags, "BIOES", "BIOES") == tags
