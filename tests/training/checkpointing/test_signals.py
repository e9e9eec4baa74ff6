"""The first signal is noted, the second one heeded."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from nlp_transfer.errors import Interrupted, UserError
from nlp_transfer.training.checkpointing.signals import deferred_signals


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_is_noted_the_second_raises_and_handlers_are_given_back(number):
    before = signal.getsignal(number)

    def listen() -> None:
        with deferred_signals() as told:
            assert told() == 0
            send(number)
            assert told() == number
            send(signal.SIGINT)
            pytest.fail("went on")

    with pytest.raises(Interrupted) as end:
        listen()
    assert end.value.number == signal.SIGINT
    assert signal.getsignal(number) is before


def test_one_that_nobody_heeded_is_not_forgotten():
    with pytest.raises(Interrupted) as end, deferred_signals():
        send()
    assert end.value.number == signal.SIGTERM


@pytest.mark.parametrize(
    ("signals", "error", "comes_out"),
    [
        (1, ValueError("why"), Interrupted),
        (0, ValueError("why"), ValueError),
        (1, UserError("why"), UserError),
        (1, RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer"), RuntimeError),
    ],
)
def test_an_exception_on_the_way_out_does_not_forget_it(signals, error, comes_out):
    """That of an attempt that has collapsed is caught outside, where the next one would begin."""

    def fail() -> None:
        with deferred_signals():
            for _ in range(signals):
                send()
            raise error

    with pytest.raises(comes_out):
        fail()


def test_what_a_launcher_repeats_at_once_is_no_second_one(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    now = 0.0
    monkeypatch.setattr("nlp_transfer.training.checkpointing.signals.time.monotonic", lambda: now)

    def listen() -> None:
        nonlocal now
        with deferred_signals() as told:
            send(signal.SIGINT)
            send()
            assert told() == signal.SIGINT
            now = 2.0
            send()
            pytest.fail("went on")

    with pytest.raises(Interrupted):
        listen()


def test_another_thread_than_the_main_one_notes_none():
    seen: list[int] = []

    def listen() -> None:
        with deferred_signals() as told:
            seen.append(told())

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [0]
