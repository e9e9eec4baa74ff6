"""The run of a recipe: its log on stderr, its errors in one line, its exit status."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from nlp_transfer.errors import Interrupted, RunFinished, UserError, is_full_disk, is_lost_process, is_out_of_memory
from nlp_transfer.system.last_words import LastWords, leave
from nlp_transfer.system.openmp import leave_cores_to_others

_LOST = (
    "another process of this run has died, so this one stops as well; the launcher names it (its rank and signal). "
    "If the run wrote checkpoints, --resume continues it."
)

_OUT_OF_MEMORY = (
    "out of memory during evaluation; give a smaller --per_device_eval_batch_size, or a smaller --max_length."
)


def run_recipe(main: Callable[[], None]) -> None:
    """Run a recipe's `main`; an error that the user can correct is one line on stderr and exit status 2.

    The package logs to stderr; with several processes only the first one of a machine does. The launcher of
    `launch_processes` prints the error of one of them. A run that is interrupted exits with status 130 (Ctrl-C) or 143
    (SIGTERM), after its `RunFolder` has cleaned up; one that trains writes a checkpoint first (`fit`).
    """
    prints = int(os.environ.get("LOCAL_RANK", "0")) == 0
    words = LastWords.for_launcher()
    leave_cores_to_others()
    if not prints or not sys.stderr.isatty():
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    with _logging(prints), _stopping_on_sigterm():
        try:
            if words:
                words.own.touch()
            main()
        except RunFinished as error:
            _print(str(error), prints)
        except UserError as error:
            _stop(str(error), 2, prints, words)
        except Interrupted as error:
            _stop(str(error), 128 + error.number, prints, words)
        except KeyboardInterrupt:
            _stop("interrupted.", 130, prints, words)
        except Exception as error:
            if is_lost_process(error):  # any process prints it: the first one may be the one that died
                _stop_with_another(error, words)
            if is_out_of_memory(error):  # any process, too; training has split its batch before
                _stop(_OUT_OF_MEMORY, 2, True, words)
            if is_full_disk(error):
                where = getattr(error, "filename", None) or "output folder"
                _stop(f"no room left on disk ({where}); free some, or choose another.", 2, prints, words)
            if words is None:
                raise
            leave(words.own, traceback.format_exc())
            raise SystemExit(1) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, only warnings are logged, as for one of many trials."""
    logger = logging.getLogger("nlp_transfer")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _logging(prints: bool) -> Iterator[None]:
    handler = logging.StreamHandler() if prints else logging.NullHandler()
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


def _stop(line: str, status: int, prints: bool, words: LastWords | None) -> NoReturn:
    if words:
        leave(words.own, f"error: {line}")
    else:
        _print(f"error: {line}", prints)
    raise SystemExit(status)


def _stop_with_another(error: Exception, words: LastWords | None) -> NoReturn:
    if words is None:
        _stop(_LOST, 1, True, None)
    leave(words.lost, f"error: the processes lost each other: {' '.join(str(error).split())}")
    raise SystemExit(1)


def _print(line: str, prints: bool) -> None:
    if prints:
        print(line, file=sys.stderr)
