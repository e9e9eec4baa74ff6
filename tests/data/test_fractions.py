"""Shares of the training rows hold each other, and every label."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from nlp_transfer.data.fractions import nested_share
from nlp_transfer.errors import OptionError


def test_a_larger_share_holds_a_smaller_one_and_every_label_has_its_part(review_splits):
    rows = review_splits.train
    whole = [(row["text"], row["line"]) for row in rows.data]
    shares = [nested_share(rows, share, seed=3) for share in (0.02, 0.25, 0.5, 1.0)]
    held = [[(row["text"], row["line"]) for row in share.data] for share in shares]
    for smaller, larger in pairwise(held):
        assert set(smaller) < set(larger)
        assert [row for row in whole if row in set(smaller)] == smaller  # in their order
    assert [len(part) for part in held] == [2, 16, 32, 64]
    assert [set(Counter(share.data["label"]).values()) for share in shares] == [{1}, {8}, {16}, {32}]
    assert shares[-1] is rows
    assert len({share.sha256 for share in shares}) == 4


def test_another_seed_draws_other_rows_and_sentences_are_drawn_too(review_splits, sentence_splits):
    drawn = [nested_share(review_splits.train, 0.25, seed).data["line"] for seed in (0, 0, 1)]
    assert list(drawn[0]) == list(drawn[1]) != list(drawn[2])
    assert len(nested_share(sentence_splits.train, 0.25, 0).data) == 16
    with pytest.raises(OptionError, match=r"\(0, 1\]"):
        nested_share(review_splits.train, 0, 0)
