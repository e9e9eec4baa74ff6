"""Whenever a call is killed, nothing is lost and nothing is doubled: the same call then finishes what was begun."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from conftest import RECIPES
from forking import started
from loops import GOLD, LABELS, annotated, beginning, options, quick_encoder, raw_file, rows_in, state_of, texts_of

from nlp_transfer.labelling.batch_formats import ROW_ID
from nlp_transfer.labelling.merging import merge_file
from nlp_transfer.labelling.next_batch import next_batch

__all__ = ["quick_encoder"]


class KilledError(BaseException):
    """The process has ended here: nothing that would have followed happens."""


def steps(folder: Path):
    """The calls of a loop of two batches, and which batch each of them gives out."""
    back = [folder / f"{number}.csv" for number in (1, 2)]
    batches = [folder / "labelling" / "batches" / f"batch-00{number}.csv" for number in (1, 2)]

    def merge(number):
        merge_file(options(folder, labelled_file=str(annotated(batches[number], back[number]))))

    return [
        (lambda: next_batch(beginning(folder)), 1),
        (lambda: merge(0), None),
        (lambda: next_batch(options(folder, rows=20)), 2),
        (lambda: merge(1), None),
    ]


def require_whole(folder: Path) -> None:
    """Two batches, no row in both, and the answer of each row as it was given."""
    state, texts = state_of(folder), texts_of(folder)
    assert [batch["number"] for batch in state["batches"]] == [1, 2]
    assert all(batch["is_written"] for batch in state["batches"])
    offered = [name for batch in state["batches"] for name in batch["rows"]]
    assert len(offered) == len(set(offered)) == 40
    assert state["answers"] == {name: GOLD[texts[name]] for name in offered}
    for batch in state["batches"]:
        path = folder / "labelling" / batch["file"]
        assert sorted(row[ROW_ID] for row in rows_in(path)) == sorted(batch["rows"])


def written(folder: Path) -> list[int]:
    """The batches that are written."""
    if not (folder / "labelling" / "state.json").exists():
        return []
    return [batch["number"] for batch in state_of(folder)["batches"] if batch["is_written"]]


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_kill_before_or_after_any_file_is_there(tmp_path, monkeypatch, is_replaced):
    replace, kill_at, was_killed = os.replace, 0, True
    while was_killed:
        kill_at += 1
        count, was_killed = 0, False

        def stopping(source, target):
            nonlocal count
            count += 1
            if count != kill_at or is_replaced:  # noqa: B023
                replace(source, target)
            if count == kill_at:  # noqa: B023
                raise KilledError

        monkeypatch.setattr(os, "replace", stopping)
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        for step, number in steps(folder):
            try:
                step()
            except KilledError:
                was_killed = True
                if number not in written(folder):  # else it was its last write, and the next call gives out another
                    step()
        require_whole(folder)
    assert kill_at > 10  # texts, vectors, states and batches


def test_a_state_that_is_written_is_on_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("nlp_transfer.system.atomic_files.flush", flushed.append)
    next_batch(beginning(tmp_path))
    names = [path.name for path in flushed]
    assert names.count(".incomplete-state.json") == 2
    assert ".incomplete-batch-001.csv" in names


_SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.whole) for seed in range(1, 20))]


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_process_that_is_killed_at_any_instant(tmp_path, checkpoint, seed):
    """SIGKILL after a random time, again and again until each call has ended by itself."""
    draws = random.Random(seed)
    first = ["--text_file", str(raw_file(tmp_path)), "--label_names", ",".join(LABELS)]
    calls = [
        (["next", "--rows", "20", *first, "--model_name_or_path", checkpoint()], 1), (["merge"], None),
        (["next", "--rows", "20"], 2), (["merge"], None),
    ]  # fmt: skip
    for call, number in calls:
        if call == ["merge"]:
            last = max(written(tmp_path))
            batch = tmp_path / "labelling" / "batches" / f"batch-00{last}.csv"
            call = ["merge", "--labelled_file", str(annotated(batch, tmp_path / f"{last}.csv"))]
        longest = 0.3
        for _ in range(20):
            process = started(tmp_path, RECIPES / "label.py", *call)
            process.join(draws.uniform(0.0, longest))
            longest *= 2  # however slow the machine is, it ends at some time
            was_killed = process.is_alive()
            process.kill()
            process.join()
            assert was_killed or process.exitcode == 0
            if not was_killed or number in written(tmp_path):
                break
        assert number is None or number in written(tmp_path)
        if call[0] == "merge":
            assert len(state_of(tmp_path)["answers"]) == 20 * last
    require_whole(tmp_path)
