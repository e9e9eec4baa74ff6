"""Signals that stop a run, deferred to the end of a step."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from nlp_transfer.errors import Interrupted, UserError, is_lost_process

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ECHO = 1.0  # seconds in which a launcher repeats the signal that the terminal has sent to all its processes already


@contextlib.contextmanager
def deferred_signals() -> Iterator[Callable[[], int]]:
    """Inside, the first SIGTERM or SIGINT has no effect yet: the function that is yielded returns its number, or 0.

    A second one raises Interrupted at once, and so does leaving after a first one. It takes the place of an exception
    on the way out, unless that is a UserError, or comes from a process that died (its launcher then sends SIGTERM),
    which say more. Python handles signals in the main thread alone; in others nothing is deferred.
    """
    received: list[int] = []
    at = 0.0

    def defer(number: int, frame: Any) -> None:
        nonlocal at
        if received and not (_is_launched() and time.monotonic() - at < _ECHO):
            raise Interrupted(number)
        if not received:
            received.append(number)
            at = time.monotonic()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, defer) for number in _SIGNALS}
    try:
        yield lambda: received[0] if received else 0
    except Exception as error:
        if received and not isinstance(error, UserError) and not is_lost_process(error):
            raise Interrupted(received[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise Interrupted(received[0])


def _is_launched() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
