"""How does a recipe speak, and how does it stop?"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from nlp_transfer.errors import Interrupted, RunFinished, UserError, is_full_disk, is_lost_process, is_out_of_memory

_LOST = (
    "another process of this run has died, and so does this one; the launcher names it (its rank, and the signal that "
    "ended it). Where it kept checkpoints, --resume goes on."
)

_OUT_OF_MEMORY = (
    "out of memory where nothing is learned; give a smaller --per_device_eval_batch_size, or a smaller --max_length."
)


def run_recipe(main: Callable[[], None]) -> None:
    """Run a recipe's `main`; turn what a user can mend into one line on stderr and exit status 2.

    What the package logs goes to stderr. With several processes only the first one of a machine says anything. A run
    that is told to end exits with status 130 (Ctrl-C) or 143 (SIGTERM), after its `RunFolder` has cleaned up; one that
    trains writes a checkpoint first (`fit`).
    """
    speaks = int(os.environ.get("LOCAL_RANK", "0")) == 0
    if not speaks or not sys.stderr.isatty():
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    with _logging(speaks), _stopping_on_sigterm():
        try:
            main()
        except RunFinished as error:
            _say(str(error), speaks)
        except UserError as error:
            _stop(str(error), 2, speaks)
        except Interrupted as error:
            _stop(str(error), 128 + error.number, speaks)
        except KeyboardInterrupt:
            _stop("interrupted.", 130, speaks)
        except Exception as error:
            if is_lost_process(error):  # said by any process: the first one may be the one that died
                _stop(_LOST, 1, speaks=True)
            if is_out_of_memory(error):  # said by any process as well; training has taken smaller parts before
                _stop(_OUT_OF_MEMORY, 2, speaks=True)
            if not is_full_disk(error):
                raise
            where = getattr(error, "filename", None) or "output folder"
            _stop(f"no room left on disk ({where}); free some, or choose another.", 2, speaks)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, what a run tells of itself is not told, as of many trials; warnings are."""
    logger = logging.getLogger("nlp_transfer")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _logging(speaks: bool) -> Iterator[None]:
    handler = logging.StreamHandler() if speaks else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("nlp_transfer")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _stopping_on_sigterm() -> Iterator[None]:
    """End as after Ctrl-C when the launcher or the scheduler asks for it, rather than at once and halfway."""

    def interrupt(*_: Any) -> NoReturn:
        raise Interrupted(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(line: str, status: int, speaks: bool) -> NoReturn:
    _say(f"error: {line}", speaks)
    raise SystemExit(status)


def _say(line: str, speaks: bool) -> None:
    if speaks:
        print(line, file=sys.stderr)
