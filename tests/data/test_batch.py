"""Every row is in exactly one batch, and padding changes nothing."""

from __future__ import annotations

import hashlib
import json
import tracemalloc

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_transfer.data.batch import CONTINUED, collate, epoch_batches, length_batches, shares
from nlp_transfer.data.inputs import TokenInputs

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=400)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_holds_every_row_once(lengths, batch_size, epoch):
    batches = list(epoch_batches(lengths, batch_size, seed=1, epoch=epoch))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.sampled_from([1, 2]), st.integers(1, 3))
def test_processes_together_see_every_row_once_an_epoch(lengths, batch_size, processes, micro_batches):
    seen: list[list[int]] = [[] for _ in range(processes)]
    for batch in epoch_batches(lengths, batch_size, seed=1, epoch=0):
        for rank, parts in enumerate(shares(batch, processes, micro_batches)):
            seen[rank] += [row for part in parts for row in part]
    assert sorted(row for rows in seen for row in rows) == list(range(len(lengths)))


def test_batches_stay_what_they_were():
    """Runs of earlier versions are repeated to the row."""
    few = [5, 3, 9, 1, 7, 2, 8, 6, 4, 5, 5]
    assert list(epoch_batches(few, 3, seed=7, epoch=2)) == [[6, 2], [8, 10, 0], [3, 5, 1], [9, 7, 4]]
    many = [(i * 7919) % 97 + 3 for i in range(5003)]
    text = json.dumps(list(epoch_batches(many, 16, seed=3, epoch=1)))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "5d7d7c45bc52af32"


def test_batches_are_made_when_they_are_asked_for():
    lengths = np.ones(200_000, np.int32)
    tracemalloc.start()
    first = next(epoch_batches(lengths, 16, seed=0, epoch=0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first) == 16
    assert peak < 20 * len(lengths)  # as lists of numbers they take 40 bytes a row


def test_epochs_and_seeds_differ_and_repeat():
    lengths = list(range(1, 200))
    first = list(epoch_batches(lengths, 8, 0, 0))
    assert first == list(epoch_batches(lengths, 8, 0, 0))
    assert first != list(epoch_batches(lengths, 8, 0, 1))
    assert first != list(epoch_batches(lengths, 8, 1, 0))


def test_batches_hold_rows_of_similar_length_in_random_order():
    lengths = np.random.default_rng(0).integers(5, 100, size=3200).tolist()
    batches = list(epoch_batches(lengths, 32, 0, 0))
    real = sum(lengths)
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    assert padded / real < 1.03
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest != sorted(longest)


@settings(deadline=None)
@given(st.lists(st.integers(0, 999), min_size=1, max_size=50), st.integers(1, 5), st.integers(1, 4))
def test_shares_deal_out_a_batch_whole_and_evenly(batch, processes, micro_batches):
    dealt = shares(batch, processes, micro_batches)
    assert [row for process in dealt for part in process for row in part] == batch
    sizes = [len(part) for process in dealt for part in process]
    assert len(sizes) == processes * micro_batches
    assert max(sizes) - min(sizes) <= 1


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40))
def test_length_batches_hold_every_row_once_longest_first(lengths, batch_size):
    batches = length_batches(lengths, batch_size)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)


def test_collate_pads_ids_mask_and_token_labels():
    batch = collate({"input_ids": [[5, 6, 7], [8]], "labels": [[1, -100, 2], [3]]}, pad_id=9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[1, -100, 2], [3, -100, -100]]


def test_collate_keeps_one_label_a_row():
    batch = collate({"input_ids": [[5, 6], [8]], "labels": [1, 0]}, pad_id=0)
    assert torch.equal(batch["labels"], torch.tensor([1, 0]))


def test_chances_decide_which_rows_are_drawn():
    chances = np.array([0.5] + [0.5 / 999] * 999)
    drawn = [row for batch in epoch_batches([3] * 1000, 16, seed=0, epoch=0, chances=chances) for row in batch]
    assert len(drawn) == 1000
    assert 420 < drawn.count(0) < 580
    again = [row for batch in epoch_batches([3] * 1000, 16, seed=0, epoch=0, chances=chances) for row in batch]
    assert drawn == again


def inputs(labels):
    return TokenInputs(Dataset.from_dict({"input_ids": [[1, 2]] * len(labels), "labels": labels}), 0)


def test_balanced_chances_give_every_label_the_same():
    chances = inputs([0, 0, 0, 1]).balanced_chances
    assert chances == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    several = inputs([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]).balanced_chances  # of three: a, b and none
    assert several == pytest.approx([1 / 9, 1 / 9 + 1 / 3, 1 / 3, 1 / 9])
    windows = inputs([0, CONTINUED, CONTINUED, 1, 1])
    assert list(windows.firsts) == [0, 3, 4]
    assert windows.balanced_chances == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    assert list(windows.labelled) == [1, 0, 0, 1, 1]


def test_labels_of_rows_are_no_labels_of_tokens():
    batch = inputs([[1.0, 0.0], [0.0, 0.0]]).batch([0, 1])
    assert batch["labels"].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert inputs([0.5, 2.0]).labels([1], None)["labels"].tolist() == [2.0]
