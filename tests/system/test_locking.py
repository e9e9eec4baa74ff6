"""One process works at a time, and none is kept from its work by a lock that nobody holds."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from nlp_transfer.errors import OptionError
from nlp_transfer.system.locking import Lock


def test_one_holds_it_at_a_time_and_its_file_can_go(tmp_path):
    one, other = (Lock(tmp_path / "lock", "busy.") for _ in range(2))
    one.require_free()
    assert os.listdir(tmp_path) == []
    one.acquire()
    for ask in (other.require_free, other.acquire):
        with pytest.raises(OptionError, match="busy"):
            ask()
    other.release(remove=True)  # which it does not hold
    assert os.listdir(tmp_path) == ["lock"]
    one.release(remove=True)
    assert os.listdir(tmp_path) == []
    other.acquire()
    other.release()
    one.require_free()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_work_goes_on_and_a_line_says_so(tmp_path, monkeypatch, caplog, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(tmp_path / "lock", "busy.")
    lock.acquire()
    assert "this file system has no locks" in caplog.text
    lock.release(remove=True)
    assert os.listdir(tmp_path) == []
