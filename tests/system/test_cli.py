"""A recipe prints its errors as single lines, and its exit status says how it ended."""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Callable
from typing import NoReturn

import pytest
import torch
from safetensors import SafetensorError

import nlp_transfer as nt


def stop(main: Callable[[], None]) -> int:
    with pytest.raises(SystemExit) as end:
        nt.run_recipe(main)
    assert isinstance(end.value.code, int)
    return end.value.code


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def main() -> NoReturn:
        raise error

    return main


@pytest.mark.parametrize("kind", [nt.UserError, nt.DataError, nt.OptionError, nt.ModelError])
def test_what_a_user_can_mend_is_one_line_and_status_2(capsys, kind):
    assert stop(raising(kind("a.csv, line 3:\n  no label"))) == 2
    assert capsys.readouterr() == ("", "error: a.csv, line 3: no label\n")


def test_what_nobody_foresaw_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        nt.run_recipe(raising(ZeroDivisionError()))
    with pytest.raises(OSError, match="pipe"):
        nt.run_recipe(raising(OSError(errno.EPIPE, "Broken pipe")))


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b.json"), "a/b.json"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "a/b.json"), "a/b.json"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "output folder"),
    ],
)
def test_a_full_disk_is_something_a_user_can_mend(capsys, error, where):
    assert stop(raising(error)) == 2
    assert capsys.readouterr().err == f"error: no room left on disk ({where}); free some, or choose another.\n"


def test_so_is_a_device_that_is_full(capsys):
    assert stop(raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))) == 2
    assert "give a smaller --per_device_eval_batch_size" in capsys.readouterr().err


def test_an_interruption_is_no_error_of_ours(capsys):
    assert stop(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "error: interrupted.\n"


def test_what_the_package_logs_is_said_once_a_run_on_stderr(capsys):
    def main() -> None:
        logging.getLogger("nlp_transfer.classify").info("held out %d rows", 3)

    for _ in range(2):
        nt.run_recipe(main)
        assert capsys.readouterr() == ("", "held out 3 rows\n")


def test_only_the_first_process_of_a_machine_speaks(capsys, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "3")

    def main() -> None:
        logging.getLogger("nlp_transfer").info("held out 3 rows")
        raise nt.DataError("no label")

    assert stop(main) == 2
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert stop(main) == 2
    assert capsys.readouterr().err == "held out 3 rows\nerror: no label\n"


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    nt.run_recipe(lambda: None)
    stop(raising(nt.DataError("no label")))
    assert signal.getsignal(signal.SIGTERM) is before
