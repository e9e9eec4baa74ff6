"""Has the run been told to stop?"""

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
_ECHO = 1.0  # seconds in which a launcher passes on what the terminal has sent to all its processes already


@contextlib.contextmanager
def noting_signals() -> Iterator[Callable[[], int]]:
    """Inside, the first SIGTERM or SIGINT is noted and not obeyed: what is yielded gives its number, 0 without one.

    The second one raises Interrupted at once, and so does leaving with one that was noted, with an exception too unless
    it is a UserError, or tells of a process that died (its launcher then sends SIGTERM), which say more. Threads but
    the main one cannot note any.
    """
    received: list[int] = []
    at = 0.0

    def note(number: int, frame: Any) -> None:
        nonlocal at
        if received and not (_is_launched() and time.monotonic() - at < _ECHO):
            raise Interrupted(number)
        if not received:
            received.append(number)
            at = time.monotonic()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in _SIGNALS}
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
