"""One thread predicts texts of all requests: bounded, by length, in order, and none fails for another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from nlp_transfer.serving.batching import Batcher, _alike, _Item
from nlp_transfer.serving.prediction_request import Refused
from nlp_transfer.serving.server_metrics import ServerMetrics


class Upper:
    """A model that predicts a text in capitals, and fails on some; it waits where a test says so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.began = threading.Event()

    def predict(self, texts: Sequence[Any], batch_size: int) -> list[Any]:
        self.began.set()
        assert self.may_go.wait(20)
        assert batch_size <= 16
        self.batches.append(list(texts))
        if "bad" in texts:
            raise ValueError("bad is among them")
        return [text.upper() for text in texts]


def run(model: Upper, work: Callable[[Batcher], Awaitable[Any]], **settings: Any) -> Any:
    settings = {"max_batch": 4, "max_wait": 0.0, "max_queue": 8} | settings
    batcher = Batcher(lambda: {"a": model, "b": model}, ServerMetrics(), **settings)
    batcher.start()
    try:
        return asyncio.run(work(batcher))
    finally:
        batcher.close()


def test_each_request_gets_its_own_in_its_order():
    async def work(batcher: Batcher) -> list[Any]:
        sent = [[f"{number}-{i}" for i in range(number % 4)] for number in range(40)]
        answers = await asyncio.gather(*(batcher.submit("ab"[len(texts) % 2], texts) for texts in sent))
        assert answers == [[text.upper() for text in texts] for texts in sent]
        return answers

    run(Upper(), work, max_queue=100)


def test_texts_that_come_while_it_computes_share_a_batch_with_those_of_their_length_and_model():
    model = Upper()
    model.may_go.clear()

    async def work(batcher: Batcher) -> None:
        first = batcher.submit("a", ["first"])
        assert await asyncio.to_thread(model.began.wait, 20)
        rest = [batcher.submit("a", ["x" * n]) for n in (3, 90, 1, 80, 2, 70)]
        rest.append(batcher.submit("b", ["other"]))
        model.may_go.set()
        await asyncio.gather(first, *rest)

    run(model, work, max_batch=3)
    lengths = [sorted(map(len, batch)) for batch in model.batches]
    assert lengths == [[5], [1, 2, 3], [70, 80, 90], [5]]


def test_a_text_waits_for_others_no_longer_than_it_is_told():
    model = Upper()

    async def work(batcher: Batcher) -> None:
        started = time.monotonic()
        one = batcher.submit("a", ["one"])
        await asyncio.sleep(0.05)
        two = batcher.submit("a", ["two"])
        await asyncio.gather(one, two)
        assert 0.2 <= time.monotonic() - started < 5
        await batcher.submit("a", ["1", "2", "3", "4"])  # a full batch does not wait

    run(model, work, max_wait=0.2)
    assert model.batches == [["one", "two"], ["1", "2", "3", "4"]]


def test_beyond_the_bound_requests_are_sent_away_and_taken_again_later():
    model = Upper()
    model.may_go.clear()

    async def work(batcher: Batcher) -> None:
        first = batcher.submit("a", ["first"])
        assert await asyncio.to_thread(model.began.wait, 20)
        rest = batcher.submit("a", ["x"] * 6)
        for texts in (["y"] * 3, ["y"] * 100):
            with pytest.raises(Refused, match="6 texts wait already; come back later") as refused:
                batcher.submit("b", texts)
            assert (refused.value.status, refused.value.retry_after) == (429, 1)
        fits = batcher.submit("b", ["y"] * 2)
        model.may_go.set()
        assert [*await first, *await rest, *await fits] == ["FIRST", *"XXXXXX", *"YY"]
        assert batcher.waiting == 0
        assert await batcher.submit("b", ["y"] * 8) == ["Y"] * 8

    run(model, work)


def test_one_bad_text_does_not_fail_those_beside_it(caplog):
    async def work(batcher: Batcher) -> list[Any]:
        return await asyncio.gather(*(batcher.submit("a", [text]) for text in ("good", "bad", "fine")))

    good, bad, fine = run(Upper(), work, max_wait=0.1)
    assert (good, fine) == (["GOOD"], ["FINE"])
    assert isinstance(bad[0], ValueError)
    assert [record.getMessage() for record in caplog.records] == ["A text of 3 characters could not be predicted."]


def test_closing_answers_what_was_taken_and_takes_no_more():
    model = Upper()
    model.may_go.clear()

    async def work(batcher: Batcher) -> None:
        taken = [batcher.submit("ab"[i % 2], [str(i)]) for i in range(8)]
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.05)
        with pytest.raises(Refused, match="the server is stopping") as refused:
            batcher.submit("a", ["late"])
        assert refused.value.status == 503
        model.may_go.set()
        await closing
        assert await asyncio.gather(*taken) == [[str(i)] for i in range(8)]

    run(model, work, max_wait=5.0)


def test_models_that_do_not_load_are_told():
    errors: list[BaseException] = []

    def fail() -> dict[str, Any]:
        raise OSError("no such model")

    batcher = Batcher(fail, ServerMetrics(), max_batch=1, max_wait=0, max_queue=1, failed=errors.append)
    batcher.start()
    batcher._thread.join(20)
    batcher.close()
    assert [str(error) for error in errors] == ["no such model"]


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ([5], [5]),
        ([9, 1, 2, 8, 100], [8, 9]),  # the oldest, which is the first, and the nearest
        ([1, 100, 101], [1, 100]),
        ([100, 1, 2], [2, 100]),
        ([5, 5, 5], [5, 5]),
    ],
)
def test_a_batch_holds_the_oldest_text_and_those_nearest_in_length(lengths, chosen):
    items = [_Item(None, place, "x" * length, length) for place, length in enumerate(lengths)]  # type: ignore[arg-type]
    batch = _alike(items, 2)
    assert sorted(item.length for item in batch) == chosen
    assert items[0] in batch
