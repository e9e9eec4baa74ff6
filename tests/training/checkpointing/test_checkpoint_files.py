"""What is read is what was written, and a checkpoint is whole or is not there."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

import nlp_transfer as nt
from nlp_transfer.system import atomic_files
from nlp_transfer.training.checkpointing import checkpoint_files
from nlp_transfer.training.checkpointing.checkpoint_files import CheckpointFolder

TENSORS = {
    "weights": {"a": torch.tensor([1.0, -0.0, float("nan"), 1e-42]), "b": torch.arange(6).view(2, 3).t()},
    "best": {},
}
FILES = {"best.safetensors", "checksums.json", "values.json", "weights.safetensors"}


@pytest.fixture
def checkpoints(tmp_path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "run" / "checkpoints", keep=2)


def write(checkpoints: CheckpointFolder, *steps: int) -> None:
    for step in steps:
        checkpoints.write(step, {"step": step}, TENSORS)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_is_read_is_what_was_written(checkpoints):
    values = {"score": 0.1 + 0.2, "none": None, "tiny": 5e-324, "least": float("-inf"), "list": [1, "ä"]}
    path = checkpoints.write(7, values, TENSORS)
    assert set(names(path)) == FILES
    saved = CheckpointFolder(checkpoints.folder).newest()
    assert (saved.path, saved.values) == (path, values)
    for name, tensors in TENSORS.items():
        read = saved.tensors(name)
        assert read.keys() == tensors.keys()
        for key, tensor in tensors.items():
            assert read[key].contiguous().view(torch.uint8).equal(tensor.contiguous().view(torch.uint8))


def test_the_newest_stay(checkpoints):
    assert checkpoints.newest() is None
    write(checkpoints, 2, 9, 10, 100_000_000)
    assert names(checkpoints.folder) == ["step-00000010", "step-100000000"]
    assert checkpoints.newest().values == {"step": 100_000_000}


def test_those_of_another_run_and_of_a_future_that_is_run_again_go(checkpoints):
    write(checkpoints, 2, 4)
    other = CheckpointFolder(checkpoints.folder, keep=2)
    write(other, 3)
    assert names(checkpoints.folder) == ["step-00000003"]
    write(other, 5)
    again = CheckpointFolder(checkpoints.folder, keep=2)
    assert again.at(checkpoints.folder / "step-00000003").values == {"step": 3}
    write(again, 4)
    assert names(checkpoints.folder) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_a_damaged_one_is_named_and_the_one_before_it_taken(checkpoints, caplog, name, how):
    write(checkpoints, 1, 2)
    path = checkpoints.folder / "step-00000002" / name
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: random.Random(0).randrange(len(content))])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    later = CheckpointFolder(checkpoints.folder)
    with caplog.at_level("INFO", "nlp_transfer"):
        assert later.newest().values == {"step": 1}
    assert "step-00000002 is damaged" in caplog.text
    assert name in caplog.text or name == "checksums.json"
    with pytest.raises(nt.UserError, match="step-00000002 is damaged"):
        later.at(path.parent)
    write(later, 2)
    assert CheckpointFolder(checkpoints.folder).newest().values == {"step": 2}


def test_where_all_are_damaged_the_error_names_them(checkpoints):
    write(checkpoints, 1, 2)
    for path in checkpoints.folder.glob("*/values.json"):
        path.write_text("{}")
    with pytest.raises(nt.UserError, match=r"every checkpoint .* is damaged \(step-00000002 .*; step-00000001 .* over"):
        checkpoints.newest()


class Trap:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("name", ["optimizer.pkl", "extra.bin", "innocent"])
@pytest.mark.parametrize("protocol", [2, 5, "torch"])
def test_a_pickle_is_refused_by_name_and_runs_nothing(checkpoints, tmp_path, monkeypatch, name, protocol):
    monkeypatch.chdir(tmp_path)
    write(checkpoints, 1)
    path = checkpoints.folder / "step-00000001" / name
    if protocol == "torch":
        torch.save(Trap(), path)
    else:
        path.write_bytes(pickle.dumps(Trap(), protocol=protocol))
    with pytest.raises(nt.ModelError, match=f"holds {name}, a pickle"):
        checkpoints.newest()
    path.replace(path.with_name("weights.safetensors"))
    with pytest.raises(nt.UserError, match=r"damaged \(weights.safetensors"):
        checkpoints.newest()
    assert not (tmp_path / "sprung").exists()


class KilledError(BaseException):
    pass


def _calls(checkpoints: CheckpointFolder, monkeypatch: pytest.MonkeyPatch, step: int, stop_at: int) -> int:
    """Write, and raise before one of all calls that reach the disk; how many there were."""
    calls = 0

    def stopping(whole: Callable[..., Any]) -> Callable[..., Any]:
        def stop(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KilledError
            return whole(*arguments, **options)

        return stop

    with monkeypatch.context() as patch:
        for holder, name in (
            (checkpoint_files, "save_file"), (checkpoint_files, "_digest"), (checkpoint_files, "flush"),
            (checkpoint_files.os, "rename"),
            (atomic_files, "flush"), (Path, "write_text"), (Path, "mkdir"), (Path, "chmod"),
        ):  # fmt: skip
            patch.setattr(holder, name, stopping(getattr(holder, name)))
        patch.setattr(checkpoint_files.shutil, "rmtree", lambda *_, **__: None)  # a kill cleans up nothing
        try:
            write(checkpoints, step)
        except KilledError:
            pass
        else:
            assert stop_at > calls
    return calls


def test_a_kill_at_any_instant_leaves_the_old_one_or_the_new(tmp_path, monkeypatch):
    total = _calls(CheckpointFolder(tmp_path / "all"), monkeypatch, 1, stop_at=10**6)
    assert total > 15
    for stop_at in range(1, total + 10):
        folder = tmp_path / str(stop_at)
        write(CheckpointFolder(folder, keep=1), 1)
        _calls(CheckpointFolder(folder, keep=1), monkeypatch, 2, stop_at)
        later = CheckpointFolder(folder, keep=1)
        found = later.newest().values["step"]
        assert found in (1, 2)
        assert found == 2 or stop_at <= total
        write(later, 3)
        assert names(folder) == ["step-00000003"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("No space left on device (os error 28)")]
)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(checkpoints, monkeypatch, error):
    def full(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "save_file", full)
        with pytest.raises(nt.UserError, match=r"no room left on disk for the checkpoint of step 1 .*it is the first"):
            write(checkpoints, 1)
    assert names(checkpoints.folder) == []
    write(checkpoints, 1)
    monkeypatch.setattr(checkpoint_files, "save_file", full)
    with pytest.raises(nt.UserError, match=r"step 2 .*step-00000001 is complete, and --resume continues from it"):
        write(checkpoints, 2)
    assert names(checkpoints.folder) == ["step-00000001"]
    assert checkpoints.newest().values == {"step": 1}


def test_a_folder_that_cannot_be_flushed_is_no_error_and_a_file_is(tmp_path, monkeypatch):
    """As where its user may not list it, or a file system knows no such thing."""

    def broken(handle: int) -> None:
        raise OSError(22, "Invalid argument")

    (tmp_path / "a").touch()
    monkeypatch.setattr(atomic_files.os, "fsync", broken)
    atomic_files.flush(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        atomic_files.flush(tmp_path / "a")


def test_files_may_be_read_by_those_the_umask_lets(checkpoints):
    before = os.umask(0o027)
    try:
        write(checkpoints, 1)
    finally:
        os.umask(before)
    files = (checkpoints.folder / "step-00000001").iterdir()
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == dict.fromkeys(FILES, 0o640)
