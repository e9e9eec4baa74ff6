"""The store gives back what was kept, notices damage, and stays inside its bounds."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from nlp_transfer.activations.__main__ import main
from nlp_transfer.activations.activation_store import Key, Store, cache_folder
from nlp_transfer.system import locking

KEY = Key("w", "t", "bert", 2, "tokens", "no", "float32", (25, 10), "torch 2")  # 1,000 bytes


def filled(store: Store, key: Key = KEY, number: str = "1") -> bool:
    assert store.make_room([key])
    assert store.allocate([key], number)
    path = store.half_written(key, number)
    assert path.stat().st_size == key.bytes
    path.write_bytes(bytes(i % 251 for i in range(key.bytes)))
    named = store.commit([key], number)
    store.clean_up()
    return named


def test_what_was_named_is_held_and_nothing_else_is_left(tmp_path):
    store = Store(tmp_path)
    assert not store.holds(KEY)
    assert filled(store)
    assert store.holds(KEY)
    assert store.states_of(KEY).read_bytes()[:3] == b"\x00\x01\x02"
    assert [path.name for path in tmp_path.iterdir()] == [KEY.name]


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "v"}, {"tokens": "u"}, {"depth": 1}, {"precision": "bf16"}, {"dtype": "bfloat16"},
        {"shape": (24, 10)}, {"versions": "torch 3"}, {"reading": "first"}, {"format": 0},
    ],
)  # fmt: skip
def test_all_that_decides_what_the_layers_give_is_part_of_the_name(tmp_path, change):
    store = Store(tmp_path)
    filled(store)
    assert not store.holds(replace(KEY, **change))


def cut(path: Path) -> None:
    os.truncate(path / "states.bin", 900)


def flip(path: Path) -> None:
    with open(path / "states.bin", "r+b") as file:
        file.seek(500)
        file.write(b"\xff\xff")


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip,
        lambda path: (path / "states.bin").unlink(),
        lambda path: (path / "meta.json").unlink(),
        lambda path: (path / "meta.json").write_text("{"),
        lambda path: (path / "meta.json").write_text("[]"),
    ],
    ids=["cut", "flip", "no states", "no meta", "broken meta", "other meta"],
)
def test_damage_is_noticed_said_and_mended(tmp_path, caplog, damage):
    store = Store(tmp_path)
    filled(store)
    damage(tmp_path / KEY.name)
    with caplog.at_level("INFO"):
        assert not store.holds(KEY)
    assert caplog.messages == [
        f"The cache folder {tmp_path / KEY.name} is damaged; its activations are computed again."
    ]
    assert filled(store, number="2")
    assert store.holds(KEY)


def test_a_run_that_is_quicker_is_not_overwritten(tmp_path):
    one, other = Store(tmp_path), Store(tmp_path)
    for store, number in ((one, "1"), (other, "2")):
        assert store.allocate([KEY], number)
        store.half_written(KEY, number).write_bytes(number.encode() * 1000)
    assert one.commit([KEY], "1")
    assert other.commit([KEY], "2")
    other.clean_up()
    assert other.states_of(KEY).read_bytes() == b"1" * 1000
    assert [path.name for path in tmp_path.iterdir()] == [KEY.name]


def test_of_two_that_fill_the_same_one_waits_and_says_so(tmp_path, monkeypatch):
    keys = [KEY, replace(KEY, depth=1)]
    heard, order = threading.Event(), []
    monkeypatch.setattr(locking.log, "info", lambda *said: heard.set())

    def other() -> None:
        with Store(tmp_path).filling(keys[::-1]):
            order.append("other")

    with Store(tmp_path).filling(keys):
        with Store(tmp_path).filling([replace(KEY, depth=0)]):  # nobody fills that
            order.append("another key")
        waiting = threading.Thread(target=other)
        waiting.start()
        assert heard.wait(10)
        order.append("one")
    waiting.join(10)
    assert order == ["another key", "one", "other"]
    assert list(tmp_path.iterdir()) == []


def test_how_long_a_pass_took_is_told_as_far_as_it_is_known(tmp_path):
    store, deep = Store(tmp_path), replace(KEY, depth=3)
    assert store.seconds_of([KEY]) == 0.0
    for key, number, seconds in ((KEY, "1", 2.0), (deep, "2", 5.0)):
        store.allocate([key], number)
        store.commit([key], number, seconds)
    assert (store.seconds_of([KEY]), store.seconds_of([KEY, deep])) == (2.0, 5.0)
    (tmp_path / KEY.name / "meta.json").write_text("{}")  # as an earlier version left it
    assert store.seconds_of([KEY]) == 0.0


def test_what_was_least_recently_used_makes_room(tmp_path):
    store = Store(tmp_path, gigabytes=2500e-9)
    keys = [replace(KEY, tokens=name) for name in "abcd"]
    for age, key in enumerate(keys[:2]):
        filled(store, key)
        os.utime(tmp_path / key.name, (1000 + age, 1000 + age))
    assert store.holds(keys[0])  # which marks it as used now
    filled(store, keys[2])
    assert [store.holds(key) for key in keys[:3]] == [True, False, True]
    in_use = [store.states_of(keys[0]), store.states_of(keys[2])]
    assert not store.make_room([keys[3]], in_use)
    assert [store.holds(key) for key in keys[:3]] == [True, False, True]


def test_too_little_room_is_said_and_nothing_is_removed(tmp_path, caplog):
    filled(Store(tmp_path))
    with caplog.at_level("INFO"):
        assert not Store(tmp_path, gigabytes=0).make_room([replace(KEY, depth=1)])
        assert not Store(tmp_path).make_room([replace(KEY, shape=(10**12, 10**3))])
    assert "they take 1e-06 GB, and --cache_gb allows 0" in caplog.messages[0]
    assert "and not cached: they take 4e+06 GB" in caplog.messages[1]
    assert Store(tmp_path).holds(KEY)


def test_much_room_is_said_before_it_is_taken(tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert Store(tmp_path, gigabytes=1).make_room([KEY])
        assert Store(tmp_path, gigabytes=1).make_room([replace(KEY, shape=(10**6, 100))])
    assert caplog.messages == [f"Activations of frozen layers will take 0.4 GB in {tmp_path}."]


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, caplog, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    store = Store(tmp_path)
    with caplog.at_level("INFO"):
        assert not store.allocate([KEY], "1")
    store.clean_up()
    assert caplog.messages[0].endswith(f"cannot write to the cache folder {tmp_path}: No space left on device.")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level("INFO"):
        assert not Store(tmp_path / "file" / "cache").make_room([KEY])
    assert "cannot use the cache folder" in caplog.text


def test_what_a_killed_run_left_is_removed_after_a_day(tmp_path):
    store = Store(tmp_path)
    store.allocate([KEY], "dead")
    store.allocate([KEY], "alive")
    dead = store.half_written(KEY, "dead")
    for path in (dead, dead.parent):
        os.utime(path, (1000, 1000))
    assert Store(tmp_path).make_room([KEY])
    assert [path.exists() for path in (dead, store.half_written(KEY, "alive"))] == [False, True]


@pytest.mark.parametrize("meta", ["{}", "[]", "no JSON", None])
def test_what_is_damaged_is_listed_counted_and_cleared(tmp_path, capsys, meta):
    filled(Store(tmp_path))
    if meta is None:
        (tmp_path / KEY.name / "states.bin").unlink()
    else:
        (tmp_path / KEY.name / "meta.json").write_text(meta)
    main(["list", "--cache_dir", str(tmp_path)])
    assert capsys.readouterr().out.splitlines()[0].endswith("damaged")
    main(["clear", "--cache_dir", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_what_another_run_clears_while_it_is_listed_is_left_out(tmp_path, capsys, monkeypatch):
    filled(Store(tmp_path))
    is_folder = Path.is_dir

    def cleared(path: Path) -> bool:
        was = is_folder(path)
        if path.name == KEY.name:
            shutil.rmtree(path)
        return was

    monkeypatch.setattr(Path, "is_dir", cleared)
    main(["list", "--cache_dir", str(tmp_path)])
    assert capsys.readouterr().out.startswith("0 folders")


def test_no_room_at_all_is_none_for_what_is_there(tmp_path):
    filled(Store(tmp_path))
    assert Store(tmp_path).holds(KEY)
    assert not Store(tmp_path, gigabytes=0).holds(KEY)


def test_a_line_is_said_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with caplog.at_level("INFO"):
        assert not any([store.holds(KEY), store.make_room([KEY]), store.make_room([KEY])])
    assert len(caplog.messages) == 1


def test_the_cache_is_listed_and_cleared(tmp_path, capsys):
    filled(Store(tmp_path))
    Store(tmp_path).allocate([KEY], "alive")
    (tmp_path / "mine.txt").write_text("not the cache's")
    main(["list", "--cache_dir", str(tmp_path)])
    listed = capsys.readouterr().out.splitlines()
    assert listed[0].startswith(KEY.name)
    assert listed[0].endswith("bert, below layer 2, 25 tokens, float32")
    assert listed[1] == f"1 folder, 0.0 MB in total, in {tmp_path}"
    main(["clear", "--cache_dir", str(tmp_path)])
    assert capsys.readouterr().out == f"1 folder, 0.0 MB freed, in {tmp_path}\n"
    alive = Store(tmp_path).half_written(KEY, "alive").parent.name  # may belong to a run that goes on
    assert sorted(path.name for path in tmp_path.iterdir()) == [alive, "mine.txt"]


def test_it_is_a_command(tmp_path):
    command = [sys.executable, "-m", "nlp_transfer.activations", "list", "--cache_dir", str(tmp_path / "none")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert (run.returncode, run.stdout) == (0, f"0 folders, 0.0 MB in total, in {tmp_path / 'none'}\n")


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache_folder("~/x") == Path.home() / "x"
    monkeypatch.setenv("NLP_TRANSFER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("NLP_TRANSFER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nlp_transfer" / "activations"


def test_what_is_kept_says_what_it_is(tmp_path):
    filled(Store(tmp_path))
    meta = json.loads((tmp_path / KEY.name / "meta.json").read_text())
    assert (meta["family"], meta["depth"], meta["shape"]) == ("bert", 2, [25, 10])
