"""How threads of OpenMP wait for work between two operations."""

from __future__ import annotations

import os

# Seconds of training MiniLM on two cores. Alone: 11.5 by default, 12.7 so; in other turns 21.9 and 22.9. Two at once:
# 85.6 by default, 20.7 so, 20.6 with OMP_WAIT_POLICY=PASSIVE, 23.7 with 3,000 spins.
_SPINS = "GOMP_SPINCOUNT", "1000"
_SET_BY_USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def leave_cores_to_others() -> None:
    """Let a thread that waits give its core away sooner than by default, unless the user has said how threads wait.

    It is read when torch loads.
    """
    if not any(name in os.environ for name in _SET_BY_USERS):
        name, value = _SPINS
        os.environ[name] = value
