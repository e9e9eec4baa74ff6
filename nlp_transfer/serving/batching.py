"""Texts of many requests, predicted together by one thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nlp_transfer.evaluation.predictor import Predictor
from nlp_transfer.serving.prediction_request import Refused
from nlp_transfer.serving.server_metrics import ServerMetrics

log = logging.getLogger(__name__)

_ROWS_OF_A_PASS = 16
"""A batch goes through the network in passes of texts of like length. Of 32 texts of 10 to 45 tokens, MiniLM on one
core predicts 21 a second in one pass of 32, 27 in passes of 16, 23 of 8, 21 of 4, 9 of 1."""

_SMOOTHING = 0.2  # of the rate, from which the wait of a client that is sent away follows


@dataclass
class _Job:
    """The texts of one request; `answered` is set, in the loop that waits, when all have a prediction or an error."""

    loop: asyncio.AbstractEventLoop
    answered: asyncio.Future[list[Any]]
    results: list[Any]
    missing: int

    def take(self, place: int, result: Any) -> None:
        self.results[place] = result
        self.missing -= 1
        if not self.missing:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        if not self.answered.done():
            self.answered.set_result(self.results)


@dataclass
class _Item:
    job: _Job
    place: int
    text: Any
    length: int
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """Predicts texts of all requests in one thread, those of similar length together.

    A batch holds the text that has waited longest, so that none waits for ever, and up to `max_batch` - 1 others of the
    same model whose lengths are nearest. While there are fewer, it waits until the oldest is `max_wait` seconds old.
    `open_models` runs in that thread first; where it fails, `failed` is called with the error.
    """

    def __init__(
        self,
        open_models: Callable[[], Mapping[str, Predictor]],
        metrics: ServerMetrics,
        *,
        max_batch: int,
        max_wait: float,
        max_queue: int,
        failed: Callable[[BaseException], None] = lambda error: None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.models: Mapping[str, Predictor] = {}
        self._open_models, self._failed, self._ready = open_models, failed, ready
        self._metrics = metrics
        self._max_batch, self._max_wait, self._max_queue = max_batch, max_wait, max_queue
        self._queues: dict[str, deque[_Item]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._rate = 0.0  # texts a second, lately
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Start the thread, which loads the models and then predicts."""
        self._thread.start()

    def close(self) -> None:
        """Predict what has been submitted, and end; nothing more is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self.models:  # a load cannot be broken off, and nobody waits for it
            self._thread.join()

    @property
    def waiting(self) -> int:
        """How many texts wait."""
        return sum(map(len, self._queues.values()))

    def submit(self, model: str, texts: Sequence[Any]) -> asyncio.Future[list[Any]]:
        """The predictions of texts, in their order; of one that cannot be predicted the exception.

        To be called in the loop that awaits them. Raises Refused: 429 where too many wait, 503 where it is closed.
        """
        loop = asyncio.get_running_loop()
        job = _Job(loop, loop.create_future(), [None] * len(texts), len(texts))
        if not texts:
            job.answered.set_result([])
            return job.answered
        items = [_Item(job, place, text, _length(text)) for place, text in enumerate(texts)]
        with self._changed:
            waiting = self.waiting
            if self._closed:
                raise Refused(503, "the server is stopping.", 1)
            if waiting + len(items) > self._max_queue:
                seconds = waiting / self._rate if self._rate else 1.0
                raise Refused(429, f"{waiting:,} texts wait already; come back later.", max(1, round(seconds)))
            self._queues.setdefault(model, deque()).extend(items)
            self._metrics.waiting.set(waiting + len(items))
            self._changed.notify()
        return job.answered

    def _run(self) -> None:
        try:
            self.models = self._open_models()
        except BaseException as error:  # told to those who wait for the models, whatever it is
            self._failed(error)
            return
        self._ready()
        while batch := self._next():
            name, items = batch
            started = time.monotonic()
            results = self._predictions(self.models[name], [item.text for item in items])
            seconds = time.monotonic() - started
            self._rate += _SMOOTHING * (len(items) / max(seconds, 1e-6) - self._rate) if self._rate else len(items)
            self._metrics.batch(name, len(items), seconds)
            for item, result in zip(items, results, strict=True):
                item.job.take(item.place, result)

    def _next(self) -> tuple[str, list[_Item]] | None:
        """The next batch and its model, as soon as there is one; None at the end."""
        with self._changed:
            while True:
                queues = {name: items for name, items in self._queues.items() if items}
                if not queues:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                name = min(queues, key=lambda name: queues[name][0].arrived)
                left = queues[name][0].arrived + self._max_wait - time.monotonic()
                if len(queues[name]) < self._max_batch and left > 0 and not self._closed:
                    self._changed.wait(left)
                    continue
                chosen = _alike(queues[name], self._max_batch)
                ids = {id(item) for item in chosen}
                self._queues[name] = deque(item for item in queues[name] if id(item) not in ids)
                self._metrics.waiting.set(self.waiting)
                return name, chosen

    def _predictions(self, model: Predictor, texts: list[Any]) -> list[Any]:
        """A prediction for each text, or the exception that it raises: one bad text does not fail the others."""
        try:
            return model.predict(texts, min(self._max_batch, _ROWS_OF_A_PASS))
        except Exception as error:
            if len(texts) == 1:
                log.exception("A text of %s characters could not be predicted.", f"{_length(texts[0]):,}")
                return [error]
        return [result for text in texts for result in self._predictions(model, [text])]


def _alike(items: Sequence[_Item], most: int) -> list[_Item]:
    """The first item, which is the oldest, and up to `most` - 1 others whose lengths are nearest together."""
    if len(items) <= most:
        return list(items)
    ordered = sorted(items, key=lambda item: item.length)
    oldest = next(place for place, item in enumerate(ordered) if item is items[0])
    starts = range(max(0, oldest - most + 1), min(oldest, len(ordered) - most) + 1)
    start = min(starts, key=lambda start: ordered[start + most - 1].length - ordered[start].length)
    return ordered[start : start + most]


def _length(text: Any) -> int:
    """Characters of a text, of two of them, or of a list of words."""
    return len(text) if isinstance(text, str) else sum(map(len, text))
