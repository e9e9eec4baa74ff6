"""Batches that are made ahead are those that would have been made in their turn."""

from __future__ import annotations

import threading

import pytest

from nlp_transfer.data.inputs import ahead


def test_the_next_item_is_made_while_one_is_used():
    asked, made = threading.Event(), threading.Event()

    def items():
        yield 0
        asked.wait(5)
        made.set()
        yield 1

    stream = ahead(items())
    assert next(stream) == 0
    asked.set()
    assert made.wait(5), "nobody works on the next item"
    assert list(stream) == [1]


def test_items_keep_their_order_and_an_empty_stream_is_one():
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []


def test_what_goes_wrong_in_the_thread_is_raised_where_the_item_is_asked_for():
    def items():
        yield 0
        raise ValueError("row 7 is damaged")

    stream = ahead(items())
    assert next(stream) == 0
    with pytest.raises(ValueError, match="row 7"):
        next(stream)


def test_a_stream_that_is_closed_stops_its_thread():
    before = threading.active_count()
    stream = ahead(iter(range(10**9)))
    next(stream)
    stream.close()
    assert threading.active_count() == before
