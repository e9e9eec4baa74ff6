"""Vectors are computed once, a block at a time, and never those of other texts."""

from __future__ import annotations

import numpy as np
import pytest
from loops import embed

from nlp_transfer.labelling import kept_vectors as module
from nlp_transfer.labelling.kept_vectors import comparable, kept_vectors
from nlp_transfer.labelling.texts_to_label import RawText


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 4)
    return []


def texts(count):
    return [RawText(f"r{number}", f"text {number}", number) for number in range(count)]


def test_vectors_are_computed_once_and_only_those_that_are_new(tmp_path, calls):
    def counted(some):
        calls.append(len(some))
        return embed(some)

    first = kept_vectors(tmp_path, texts(10), "e", counted)
    assert calls == [4, 4, 2]
    assert (first == embed([text.text for text in texts(10)])).all()
    assert (kept_vectors(tmp_path, texts(10), "e", counted) == first).all()
    assert calls == [4, 4, 2]
    assert (kept_vectors(tmp_path, texts(13), "e", counted)[:10] == first).all()
    assert calls == [4, 4, 2, 4, 1]
    kept_vectors(tmp_path, texts(13), "another", counted)
    assert calls == [4, 4, 2, 4, 1, 4, 4, 4, 1]


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_half_a_file_is_computed_again(tmp_path, calls, keep):
    first = kept_vectors(tmp_path, texts(4), "e", embed)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:keep])
    assert (kept_vectors(tmp_path, texts(4), "e", embed) == first).all()
    with np.load(path) as kept:
        assert (kept["vectors"] == first).all()


def test_an_interruption_costs_a_block_at_most(tmp_path, calls):
    def stopping(some):
        if calls:
            raise KeyboardInterrupt
        calls.append(some)
        return embed(some)

    with pytest.raises(KeyboardInterrupt):
        kept_vectors(tmp_path, texts(8), "e", stopping)
    kept_vectors(tmp_path, texts(8), "e", lambda some: calls.append(some) or embed(some))
    assert [some[0] for some in calls] == ["text 0", "text 4"]


def test_comparable_vectors_have_no_common_direction_and_one_length():
    vectors = np.random.default_rng(0).normal(size=(50, 8)) + 5
    mine, others = comparable(vectors, vectors[:3])
    assert np.allclose(np.linalg.norm(mine, axis=1), 1)
    assert np.abs(mine.mean(axis=0)).max() < 0.2
    assert np.allclose(others, mine[:3])
    assert np.isfinite(comparable(np.ones((2, 3)))[0]).all()
