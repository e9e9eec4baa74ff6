"""The comparison of turns, side by side, for `recipes/benchmarks/benchmark.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Turn = Mapping[str, Any]
"""What a turn gave: its `side` and `round`, the `rows` it took, `work_seconds` for them alone, `seconds` in all."""


def interleaved(sides: Sequence[str], repeats: int) -> list[tuple[int, str]]:
    """Rounds in which each side has one turn, every other round in reverse: A B, B A, A B.

    >>> interleaved("AB", 2)
    [(0, 'A'), (0, 'B'), (1, 'B'), (1, 'A')]
    """
    return [(i, side) for i in range(repeats) for side in (sides if i % 2 == 0 else sides[::-1])]


def compare(turns: Sequence[Turn], peaks: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Medians of each side, and how many times faster than it ours was; ours is the side whose turn came first.

    `peaks` maps a precision to FLOP/s. The ratios, of rows a second (`times_work`) and of whole turns (`times_whole`),
    are taken round by round.
    """
    of: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: turn["round"]):  # a stable sort: round 0 keeps its order
        of.setdefault(turn["side"], []).append(turn)
    ours, *peers = of
    medians = {side: _medians(theirs, peaks) for side, theirs in of.items()}
    for peer in peers:
        pairs = list(zip(of[ours], of[peer], strict=True))
        medians[peer]["times_work"] = spread([speed(mine) / speed(theirs) for mine, theirs in pairs])
        medians[peer]["times_whole"] = spread([theirs["seconds"] / mine["seconds"] for mine, theirs in pairs])
    return medians


def _medians(turns: Sequence[Turn], peaks: Mapping[str, float]) -> dict[str, Any]:
    names = [name for name, value in turns[0].items() if isinstance(value, int | float) and name != "round"]
    medians = {name: median(turn[name] for turn in turns) for name in names}
    medians["rows_per_second"] = median(map(speed, turns))
    if "flops" in turns[0]:
        medians["precision"] = turns[0]["precision"]
        medians["utilisation"] = median(t["flops"] / t["work_seconds"] / peaks[t["precision"]] for t in turns)
    return medians


def speed(turn: Turn) -> float:
    """Rows a second in training, or in predicting, alone."""
    return turn["rows"] / turn["work_seconds"]


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Median, least and most.

    >>> spread([3, 1, 2])
    {'median': 2, 'min': 1, 'max': 3}
    """
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def table(kind: str, sides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What `compare` gave as the lines of a Markdown table whose columns are aligned for a terminal too."""
    trains = kind == "training"
    lines = [[kind, "rows/s", "ours is", "whole, s", "ours is", "score", "memory, MB"]]
    lines[0] += ["weights trained", "tokens", "of peak"] * trains
    for side, medians in sides.items():
        memory = medians.get("peak_memory")
        line = [side, f"{medians['rows_per_second']:,.1f}", _times(medians.get("times_work"))]
        line += [f"{medians['seconds']:,.1f}", _times(medians.get("times_whole"))]
        line += [f"{100 * medians['score']:.1f}", f"{memory / 1e6:,.0f}" if memory else "?"]
        if trains:
            line += [f"{medians['trained_weights']:,.0f}", f"{medians['tokens']:,.0f}"]
            line += [f"{medians['utilisation']:.0%} {precision_named(medians['precision'])}"]
        lines.append(line)
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    lines.insert(1, ["-" * first, *("-" * (width - 1) + ":" for width in others)])
    padded = ([name.ljust(first), *map(str.rjust, cells, others)] for name, *cells in lines)
    return [f"| {' | '.join(line)} |" for line in padded]


def precision_named(precision: str) -> str:
    """The precision as it is spoken of: Accelerate calls fp32 `no`."""
    return "fp32" if precision == "no" else precision


def _times(ratio: Mapping[str, float] | None) -> str:
    return f"{ratio['median']:.2f}x ({ratio['min']:.2f}..{ratio['max']:.2f})" if ratio else ""
