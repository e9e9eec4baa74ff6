"""A run leaves a complete folder or none, whatever ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

import nlp_transfer as nt
from nlp_transfer.run import run_folder
from nlp_transfer.system import atomic_files
from nlp_transfer.system.locking import Lock


def tree(folder: Path) -> dict[str, str | None]:
    """Every path under a folder, hidden ones too, with what the files hold."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def fill(folder: Path, text: str = "new") -> None:
    """What a run writes, in small."""
    (folder / "transfer.json").write_text(text)
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_text(text)


def failing_run(target: Path, error: type[BaseException], overwrite: bool = False, neighbour: bool = False) -> NoReturn:
    """A run that ends in an error after it has written, while somebody else makes a folder beside it."""
    with nt.RunFolder(target, overwrite) as folder:
        fill(folder.path)
        if neighbour:
            (target.parent / "other").mkdir()
        raise error


NEW = {"transfer.json": "new", "model": None, "model/weights": "new"}


@pytest.fixture
def old_run(tmp_path) -> Path:
    """A folder with a run, whose model has a file that the next one will not have, and with notes of the user's."""
    folder = tmp_path / "run"
    folder.mkdir()
    fill(folder, "old")
    (folder / "model" / "merges").write_text("old")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_run_that_ends_well_leaves_its_folder_and_nothing_beside_it(tmp_path):
    with nt.RunFolder(tmp_path / "runs" / "mine") as folder:
        fill(folder.path)
        assert not folder.target.exists()
    assert tree(tmp_path / "runs" / "mine") == NEW
    assert os.listdir(tmp_path / "runs") == ["mine"]


def test_an_empty_folder_is_filled(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    with nt.RunFolder(target) as folder:
        fill(folder.path)
    assert tree(tmp_path) == {"run": None} | {f"run/{name}": text for name, text in NEW.items()}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("target", ["run", "runs/deep/run"])
def test_an_error_leaves_nothing(tmp_path, error, target):
    with pytest.raises(error):
        failing_run(tmp_path / target, error)
    assert tree(tmp_path) == {}


def test_an_error_leaves_the_folders_that_were_there_and_what_others_put_there(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(KeyError):
        failing_run(tmp_path / "runs" / "deep" / "run", KeyError, neighbour=True)
    assert tree(tmp_path) == {"runs": None, "runs/deep": None, "runs/deep/other": None}


def test_an_error_leaves_the_run_that_was_to_be_replaced(old_run, tmp_path):
    before = tree(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        failing_run(old_run, KeyboardInterrupt, overwrite=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("names", "what"), [(["transfer.json"], "already holds a run"), (["a.txt"], "is not empty")])
def test_a_folder_that_holds_something_is_refused(tmp_path, names, what):
    for name in names:
        (tmp_path / name).write_text("kept")
    before = tree(tmp_path)
    with pytest.raises(nt.OptionError, match=f"--output_dir {tmp_path} {what}; .* --overwrite_output_dir"):
        nt.RunFolder(tmp_path)
    assert tree(tmp_path) == before


def test_overwriting_replaces_the_run_and_keeps_what_it_did_not_write(old_run, tmp_path):
    with nt.RunFolder(old_run, overwrite=True) as folder:
        fill(folder.path)
        assert (old_run / "transfer.json").read_text() == "old"
    assert tree(old_run) == NEW | {"notes.txt": "mine"}
    assert os.listdir(tmp_path) == ["run"]


def test_a_run_that_is_half_replaced_has_not_ended(old_run, tmp_path, monkeypatch):
    def replace(source: Path, target: Path) -> None:
        assert not (old_run / "transfer.json").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "_replace", replace)
    with pytest.raises(KeyboardInterrupt), nt.RunFolder(old_run, overwrite=True) as folder:
        fill(folder.path)


def test_what_was_written_is_on_disk_before_the_checkpoints_go(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        atomic_files, "flush", lambda path: flushed.append((path, (tmp_path / "run/checkpoints").is_dir()))
    )
    stopped(tmp_path / "run")
    with nt.RunFolder(tmp_path / "run", resume="") as folder:
        fill(folder.path)
    assert {(folder.path / name, True) for name in NEW} < set(flushed)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_overwriting_needs_no_run(tmp_path):
    with nt.RunFolder(tmp_path / "run", overwrite=True) as folder:
        fill(folder.path)
    assert tree(tmp_path / "run") == NEW


def test_a_folder_that_is_there_is_filled_from_inside(tmp_path):
    """It may be a mount, to which nothing can be moved in one step, or in a folder that the user may not write to."""
    target = tmp_path / "run"
    target.mkdir()
    assert nt.RunFolder(target).path.parent == target
    assert nt.RunFolder(tmp_path / "new").path.parent == tmp_path


def test_dots_and_links_lead_to_the_folder_they_mean(tmp_path, monkeypatch):
    here, real = tmp_path / "here", tmp_path / "real"
    here.mkdir()
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "loose").symlink_to(tmp_path / "made")
    monkeypatch.chdir(here)
    for target in (".", "../link", "../loose"):
        with nt.RunFolder(target) as folder:
            fill(folder.path)
    assert tree(here) == tree(real) == tree(tmp_path / "made") == NEW
    assert (tmp_path / "link").is_symlink()


def test_a_file_as_target_is_refused(tmp_path):
    path = tmp_path / "run"
    path.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(nt.OptionError, match="is not a folder"):
            nt.RunFolder(path, overwrite)
    with pytest.raises(nt.OptionError, match="is not a folder"):
        nt.RunFolder("/dev/null")
    assert path.read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file" / "run", tmp_path / "file" / "deep" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(nt.OptionError, match=r"cannot write to --output_dir"), nt.RunFolder(target):
            pytest.fail("was entered")
    assert tree(tmp_path) == {"file": "mine"}


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, monkeypatch):
    def full(self: Path) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(nt.OptionError, match="No space left"), nt.RunFolder(tmp_path / "runs" / "mine"):
        pytest.fail("was entered")
    assert tree(tmp_path) == {}


def test_no_room_is_told_before_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000_000))
    with nt.RunFolder(tmp_path / "fits") as folder:
        folder.require_room(10_000_000)
    wanted = "no room on disk for .*the run needs 25 MB and 10 MB are free"
    with pytest.raises(nt.OptionError, match=wanted), nt.RunFolder(tmp_path / "run") as folder:
        folder.require_room(25_000_000)
    assert tree(tmp_path) == {"fits": None}


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with nt.RunFolder(tmp_path / "run") as folder:
        folder.require_room(10**18)
        assert tree(tmp_path) == {}
    with pytest.raises(ValueError), nt.RunFolder(tmp_path / "run"):  # noqa: PT011
        raise ValueError
    assert tree(tmp_path) == {}


def test_a_later_process_does_not_take_the_first_ones_work_for_a_run(tmp_path, monkeypatch):
    target = tmp_path / "run"
    target.mkdir()
    with nt.RunFolder(target) as first:
        fill(first.path)
        with monkeypatch.context() as patch:
            patch.setenv("RANK", "1")
            nt.RunFolder(target)
    assert tree(target) == NEW


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_files_may_be_read_by_those_the_umask_lets(tmp_path):
    with nt.RunFolder(tmp_path / "run") as folder:
        fill(folder.path)
        (folder.path / "model" / "weights").chmod(0o600)
        (folder.path / "script").write_text("#!")
        (folder.path / "script").chmod(0o700)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").rglob("*")}
    assert modes == {"transfer.json": 0o640, "model": 0o750, "weights": 0o640, "script": 0o740}
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o750


SLOW_RUN = """
import sys, time
from pathlib import Path
import nlp_transfer as nt

def main():
    with nt.RunFolder(sys.argv[1], overwrite=True) as folder:
        (folder.path / "transfer.json").write_text("half")
        print("writing", flush=True)
        time.sleep(60)

nt.run_recipe(main)
"""


def stopped_run(target: Path, how: signal.Signals, meanwhile: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """Status and stderr of a run that got a signal while it was writing, after a call of `meanwhile`."""
    command = [sys.executable, "-c", SLOW_RUN, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stderr
        assert run.stdout.readline() == "writing\n"
        meanwhile()
        run.send_signal(how)
        return run.wait(timeout=240), run.stderr.read()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_cleans_up(old_run, tmp_path, how):
    before = tree(tmp_path)
    assert stopped_run(tmp_path / "other", how) == (128 + how, "error: interrupted.\n")
    assert stopped_run(old_run, how) == (128 + how, "error: interrupted.\n")
    assert tree(tmp_path) == before


def assert_refused(target: Path, **more: Any) -> None:
    """A second run is refused in one line, and touches nothing."""
    before = tree(target.parent)
    with pytest.raises(nt.OptionError, match=r"--output_dir .*: another run is writing to it; wait"):
        nt.RunFolder(target, **more)
    assert tree(target.parent) == before


def test_of_two_that_look_at_once_one_works(tmp_path):
    """And until it has ended any other is refused, whether it resumes, overwrites or begins."""
    target = tmp_path / "run"
    (tmp_path / "link").symlink_to(target)
    one, two = nt.RunFolder(target, resume=""), nt.RunFolder(target, resume="")
    with one:
        with pytest.raises(nt.OptionError, match="another run is writing to it"), two:
            pytest.fail("was entered")
        fill(one.path)
        (target / "checkpoints" / "step-00000001").mkdir(parents=True)
        for more in ({}, {"overwrite": True}, {"resume": ""}):
            assert_refused(target, **more)
            assert_refused(tmp_path / "link", **more)
        with nt.RunFolder(tmp_path / "other"):
            pass
    assert tree(target) == NEW
    assert set(os.listdir(tmp_path)) == {"run", "other", "link"}


def test_the_lock_lies_inside_where_nothing_can_lie_beside(tmp_path, monkeypatch):
    (target := tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with nt.RunFolder(target) as folder:
        assert os.listdir(tmp_path) == ["run"]
        assert_refused(target)
        fill(folder.path)
    assert tree(tmp_path) == {"run": None} | {f"run/{name}": text for name, text in NEW.items()}


def test_a_run_that_is_killed_leaves_what_was_there_and_is_not_in_the_way(old_run, tmp_path):
    def visible() -> dict[str, str | None]:
        return {name: text for name, text in tree(tmp_path).items() if ".incomplete-" not in name}

    before = visible()
    refused = lambda: assert_refused(old_run, resume="")  # noqa: E731
    assert stopped_run(old_run, signal.SIGKILL, refused)[0] == -signal.SIGKILL
    assert stopped_run(tmp_path / "new", signal.SIGKILL, lambda: assert_refused(tmp_path / "new"))[0] == -signal.SIGKILL
    assert visible() == before
    (tmp_path / "empty").mkdir()
    stopped_run(tmp_path / "empty", signal.SIGKILL)
    for name in ("new", "empty"):
        with nt.RunFolder(tmp_path / name) as folder:
            fill(folder.path)
        assert (tmp_path / name / "model" / "weights").read_text() == "new"


def stopped(target: Path) -> Path:
    """A run that ended in an error after it had written a checkpoint; the hidden folder that it leaves."""
    with pytest.raises(ValueError), nt.RunFolder(target) as folder:  # noqa: PT011, PT012
        fill(folder.path)
        (folder.path / "logs").mkdir()
        (folder.path / "logs" / "events").write_text("one")
        (folder.checkpoints / "step-00000001").mkdir(parents=True)
        raise ValueError
    return folder.path


@pytest.mark.parametrize("is_there", [False, True])
def test_a_run_with_checkpoints_can_be_resumed(tmp_path, is_there):
    target = tmp_path / "runs" / "mine"
    if is_there:
        target.mkdir(parents=True)
    left = stopped(target)
    assert {path.name for path in target.iterdir()} - {left.name} == {"checkpoints"}
    assert tree(left) == {"logs": None, "logs/events": "one"}
    with pytest.raises(nt.OptionError, match="holds a run that was stopped; give --resume to resume it"):
        nt.RunFolder(target)
    with nt.RunFolder(target, resume="") as folder:
        assert folder.path == left
        fill(folder.path)
        (folder.path / "logs" / "later").write_text("two")
    assert tree(target) == NEW | {"logs": None, "logs/events": "one", "logs/later": "two"}
    assert os.listdir(target.parent) == ["mine"]


def test_a_run_that_has_ended_is_not_resumed(tmp_path, monkeypatch):
    with nt.RunFolder(tmp_path / "run") as folder:
        fill(folder.path)
    folder.path.mkdir()  # a kill while it was being removed
    for _ in range(2):  # the second time nothing is there to be removed, and nobody need write
        with pytest.raises(nt.RunFinished, match=r"The run in .*run has ended; there is nothing to resume"):
            nt.RunFolder(tmp_path / "run", resume="")
        assert tree(tmp_path) == {"run": None} | {f"run/{name}": text for name, text in NEW.items()}
        monkeypatch.setattr(Lock, "acquire", None)


def test_a_stopped_run_may_be_started_over(tmp_path):
    left = stopped(tmp_path / "run")
    with nt.RunFolder(tmp_path / "run", overwrite=True) as folder:
        fill(folder.path)
        assert folder.path != left
    assert tree(tmp_path) == {"run": None} | {f"run/{name}": text for name, text in NEW.items()}


def test_files_of_the_user_are_no_run_to_resume(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(nt.OptionError, match="is not empty"):
        nt.RunFolder(tmp_path, resume="")
    with nt.RunFolder(tmp_path / "new", resume="") as folder:
        fill(folder.path)
    assert tree(tmp_path / "new") == NEW
