"""How threads of OpenMP wait for work between two operations."""

from __future__ import annotations

import os

# Seconds of training MiniLM on two cores, by default and so. Alone, in four turns: 11.6 and 11.1, 11.5 and 12.7, and of
# longer ones 21.8 and 22.7, 21.9 and 23.2. Two at once, in two turns: 79.5 and 19.3, 85.6 and 20.7; with PASSIVE 23.3
# and 20.6, with 10,000 spins 31.6, with 100,000 113.9.
_SPINS = "GOMP_SPINCOUNT", "1000"
_SET_BY_USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def leave_cores_to_others() -> None:
    """Let a thread that waits give its core away sooner than by default, unless the user has said how threads wait.

    It is read when torch loads.
    """
    if not any(name in os.environ for name in _SET_BY_USERS):
        name, value = _SPINS
        os.environ[name] = value
