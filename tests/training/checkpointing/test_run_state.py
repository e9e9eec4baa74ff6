"""Generators go on from where they were."""

from __future__ import annotations

import random

import numpy as np
import torch

from nlp_transfer.training.checkpointing.run_state import random_states, set_random_states
from nlp_transfer.training.fast_dropout import drop

CPU = torch.device("cpu")


def draws() -> list[object]:
    """Of each generator some numbers; the normal ones are made in pairs, of which the second is kept for later."""
    return [
        torch.rand(3).tolist(), drop(torch.ones(9), 0.5).tolist(), np.random.random(3).tolist(),
        np.random.standard_normal(), random.random(), random.gauss(0, 1),
    ]  # fmt: skip


def test_generators_go_on_from_where_they_were():
    for _ in range(3):
        draws()
        states = random_states(CPU)
        expected = [draws(), draws()]
        draws()
        set_random_states(states, CPU)
        assert [draws(), draws()] == expected
