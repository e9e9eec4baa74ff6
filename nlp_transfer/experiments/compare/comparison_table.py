"""Tables of a comparison: as plain text for a terminal, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from nlp_transfer.experiments.compare.comparison import Comparison
from nlp_transfer.experiments.compare.summary import Group, Line, bounds, shown
from nlp_transfer.metrics import Interval
from nlp_transfer.run.report.wording import public


def comparison_table(comparison: Comparison) -> str:
    """The verdict, the candidates beside the baselines on most rows, and scores on fewer rows, as plain text."""
    parts = [
        comparison.verdict,
        "",
        caption(comparison, comparison.groups[0]),
        *_aligned(rows_of(comparison, comparison.groups[0])),
    ]
    if len(comparison.groups) > 1:
        parts += ["", *_aligned(curve_rows(comparison))]
    parts += ["", *_aligned(gain_rows(comparison))]
    if comparison.notes:
        parts += ["", *comparison.notes]
    return "\n".join(parts)


def rows_of(comparison: Comparison, group: Group) -> list[list[str]]:
    """A heading and a line for each entry of a group, the best on validation first."""
    costs = [name for name in _COSTS if any(getattr(line.entry, name) is not None for line in group.lines)]
    heading = ["", comparison.metric, "95%", "to best", "to baseline", "seconds", *(_COSTS[name] for name in costs)]
    return [heading, *(_row(line, comparison.metric, costs) for line in comparison.ranked(group))]


def caption(comparison: Comparison, group: Group) -> str:
    """A sentence on what the numbers of a group are."""
    return (
        f"{comparison.split.capitalize()} ({comparison.rows:,} rows) after {group.rows:,} rows to learn from, beside "
        f"{group.best.entry.name} (best on validation) and {group.baseline.entry.name} (best baseline):"
    )


def _row(line: Line, metric: str, costs: Sequence[str]) -> list[str]:
    entry = line.entry
    score = shown(entry.score, metric)
    if entry.deviation is not None:
        score += f" ± {shown(entry.deviation, metric)}"
    return [
        entry.name,
        score,
        bounds(line.interval, metric),
        difference_in_words(line.to_best, metric),
        difference_in_words(line.to_baseline, metric),
        f"{entry.seconds:,.1f}",
        *(_cost(name, getattr(entry, name)) for name in costs),
    ]


def difference_in_words(difference: Interval | None, metric: str) -> str:
    """As in `-0.2 (-0.9..0.5)`; a dash for None."""
    if difference is None:
        return "-"
    return f"{shown(difference.score, metric, signed=True)} ({bounds(difference, metric)})"


def curve_rows(comparison: Comparison) -> list[list[str]]:
    """A heading and a line for each entry: its score by the number of rows that it learned from."""
    groups = list(reversed(comparison.groups))
    heading = ["by rows to learn from", *(f"{group.rows:,}" for group in groups)]
    lines = []
    for line in comparison.ranked(comparison.groups[0]):
        scores = ({other.entry.name: other.entry for other in group.lines} for group in groups)
        there = (entries.get(line.entry.name) for entries in scores)
        lines.append([line.entry.name, *(shown(entry.score, comparison.metric) if entry else "-" for entry in there)])
    return [heading, *lines]


def gain_rows(comparison: Comparison, *, whole: bool = False) -> list[list[str]]:
    """A heading, and the gains of each candidate and the rows that they are worth.

    On fewer rows than most they are those of the best one, unless `whole`.
    """
    lines = [["transfer gain", "rows", "over", "gain (95%)", "rows that one would need"]]
    for group in comparison.groups:
        for line in comparison.ranked(group) if whole or group is comparison.groups[0] else [group.best]:
            lines += [
                [line.entry.name, f"{group.rows:,}", gain.over, difference_in_words(gain.difference, comparison.metric),
                 str(gain.rows_needed)]
                for gain in line.gains
            ]  # fmt: skip
    return lines


def as_csv(comparison: Comparison) -> str:
    """A line for each entry on each share of the rows; numbers as they are, empty for None."""
    file = io.StringIO()
    lines = [record(line, group) for group in comparison.groups for line in comparison.ranked(group)]
    writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    for line in lines:
        flat = {k: " ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in line.items()}
        writer.writerow(flat)
    return file.getvalue()


def record(line: Line, group: Group) -> dict[str, Any]:
    """All numbers of an entry by name."""
    entry = line.entry
    numbers: dict[str, Any] = {
        "name": entry.name,
        "encoder": public(entry.encoder) if entry.encoder else None,
        "is_baseline": entry.is_baseline,
        "is_best": line is group.best,
        "is_best_baseline": line is group.baseline,
        "fraction": entry.fraction,
        "train_rows": entry.rows,
        "seeds": list(entry.seeds),
        "score": entry.score,
        "deviation": entry.deviation,
        "low": line.interval.low,
        "high": line.interval.high,
        "validation": sum(entry.validation) / len(entry.validation),
    }
    for name, difference in (("best", line.to_best), ("baseline", line.to_baseline)):
        numbers |= {
            f"less_{name}{end}": difference and getattr(difference, part)
            for end, part in (("", "score"), ("_low", "low"), ("_high", "high"))
        }
    numbers["seconds"] = entry.seconds
    return numbers | {name: getattr(entry, name) for name in _COSTS} | {"scores": list(entry.scores)}


_COSTS = {"trained_weights": "trained", "peak_memory": "memory", "gpu_memory": "GPU memory", "disk": "disk"}


def _cost(name: str, value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if name == "trained_weights" else f"{value / 1e6:,.1f} MB"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) if not place else cell.rjust(width)
                  for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]  # fmt: skip
