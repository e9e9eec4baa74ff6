"""Processes that share a step agree before one of them can run out of memory."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import nlp_transfer as nt
from nlp_transfer.training import steps
from nlp_transfer.training.plan import Plan


def test_processes_compute_apart_only_what_is_larger_than_all_before():
    lengths = np.array([3, 5, 9, 2, 2, 2])
    two = Plan(
        lengths, np.ones(6), None, np.arange(6), features=6, batch_size=16, micro_batches=1, steps_per_epoch=1,
        first_step=0, first_epoch=0.0, steps=1, evaluations=frozenset(), seed=0,
    )  # fmt: skip
    fitted = steps._Fitted()
    for batch, size, is_larger in (
        ([0, 1, 3, 4], (10, 50), True),
        ([0, 4, 3, 1], (10, 50), False),
        ([0, 2], (9, 81), True),  # fewer tokens, and a longer row
        ([0, 4, 2], (9, 81), False),
        ([0, 1, 2, 3, 4], (27, 243), True),
    ):
        found = steps._size(batch, two, processes=2)
        assert tuple(found) == size
        assert fitted.has(found) != is_larger
        fitted.add(found)
    accelerator = SimpleNamespace(num_processes=2, process_index=1)
    line = "process 1 is out of memory at step 9, with 8 rows at a time; give --per_device_train_batch_size 4 --grad"
    with pytest.raises(nt.UserError, match=line):
        steps._with_smaller_micro_batches(two, 9, accelerator, is_agreed=False)
    assert steps._with_smaller_micro_batches(two, 9, accelerator, is_agreed=True).micro_batches == 2
