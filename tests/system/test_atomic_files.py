"""A file is written completely, or the one before stays."""

from __future__ import annotations

import os
from contextlib import nullcontext

import pytest

from nlp_transfer.system.atomic_files import write_atomically


@pytest.mark.parametrize("fails", [False, True])
def test_what_stood_there_stays_until_the_new_is_whole(tmp_path, monkeypatch, fails):
    path, seen, replace = tmp_path / "report.html", [], os.replace
    path.write_text("old")

    def watched(source, target):
        seen.append((source.read_text(), path.read_text()))
        if fails:
            raise OSError("no room")
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    with pytest.raises(OSError, match="no room") if fails else nullcontext():
        write_atomically(path, "new")
    assert seen == [("new", "old")]
    assert path.read_text() == ("old" if fails else "new")
    assert [left.name for left in tmp_path.iterdir()] == ["report.html"]


def test_names_of_files_that_are_not_utf_8_can_be_written(tmp_path):
    write_atomically(tmp_path / "a", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "a").read_text() == "caf\\udce9"
