"""Pictures of a comparison: scores side by side, and the learning curve."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from nlp_transfer.experiments.compare.comparison import Comparison
from nlp_transfer.experiments.compare.summary import bounds, shown
from nlp_transfer.metrics import Interval, is_error
from nlp_transfer.run.html.drawing import FONT, WIDTH, Picture, fitting, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart without colours, too (Okabe and Ito 2008): by marks, and baselines by broken lines.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#1c1c1c")
_MARKS = "osD^vP*X"
_GREY = ("#777777", "#a0a0a0", "#555555")
_ROW, _AXIS, _PLOT = 38, 44, 270  # units of height for a line of words, for numbers at an axis, and for the curves


def score_picture(comparison: Comparison) -> Picture:
    """The score of each candidate and baseline, and its interval, on most rows."""
    group = comparison.groups[0]
    lines = comparison.ranked(group)
    looks = _looks(comparison)
    height = len(lines) * _ROW + _AXIS

    def draw(axes: Axes) -> None:
        # The best baseline goes through all rows, but not through their words: what lies to its right has paid.
        best = [_points(group.baseline.entry.score, comparison.metric)] * 2
        for row, line in enumerate(lines):
            colour, mark, _ = looks[line.entry.name]
            ends = [_points(end, comparison.metric) for end in (line.interval.low, line.interval.high)]
            axes.plot(best, [row - 0.05, row + 0.45], color="#bbbbbb", linewidth=1, linestyle=(0, (3, 2)))
            axes.plot(ends, [row + 0.2] * 2, color=colour, linewidth=2)
            axes.plot(
                [_points(line.entry.score, comparison.metric)], [row + 0.2], color=colour, marker=mark, markersize=7
            )
            axes.text(
                0.0, row - 0.12, fitting(line.entry.name, WIDTH * 0.66), transform=axes.get_yaxis_transform(),
                va="bottom", fontsize=FONT,
            )  # fmt: skip
            axes.text(
                1.0, row - 0.12, _score(line.entry.score, line.interval, comparison.metric), ha="right", va="bottom",
                transform=axes.get_yaxis_transform(), color="#555555", fontsize=FONT - 1,
            )  # fmt: skip
        axes.set(ylim=(len(lines) - 0.4, -0.75), yticks=[], xlabel=_unit(comparison.metric))
        axes.spines[["left", "top", "right"]].set_visible(False)

    description = "; ".join(
        f"{line.entry.name} {_score(line.entry.score, line.interval, comparison.metric)}" for line in lines
    )
    margins = (0.02, _AXIS / height, 0.96, 1 - _AXIS / height)
    title = f"{comparison.metric} after {group.rows:,} rows, with 95% intervals"
    return Picture(title, f"{title}: {description}.", svg(draw, height, "scores", margins=margins))


def curve_picture(comparison: Comparison) -> Picture:
    """The score of each candidate and baseline against the rows that it learned from."""
    looks = _looks(comparison)
    columns = 2 if all(fitting(name, WIDTH * 0.42) == name for name in looks) else 1
    legend = 20 * -(-len(looks) // columns)
    height = _PLOT + _AXIS + legend
    points: dict[str, list[tuple[int, float, Interval]]] = {name: [] for name in looks}
    for group in reversed(comparison.groups):
        for line in group.lines:
            if line.entry.name in points:
                points[line.entry.name].append((group.rows, line.entry.score, line.interval))

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import NullLocator  # as in drawing.py

        for place, (name, (colour, mark, dashes)) in enumerate(looks.items()):
            aside = 1 + 0.012 * (place - len(looks) / 2)  # so that intervals stand beside each other
            rows = [aside * rows for rows, _, _ in points[name]]
            scores = [_points(score, comparison.metric) for _, score, _ in points[name]]
            axes.plot(rows, scores, dashes, color=colour, marker=mark, markersize=5, linewidth=1.5, label=name)
            for x, (_, _, interval) in zip(rows, points[name], strict=True):
                ends = [_points(end, comparison.metric) for end in (interval.low, interval.high)]
                axes.plot([x, x], ends, color=colour, linewidth=1, alpha=0.6)
        ticks = sorted({group.rows for group in comparison.groups})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{rows:,}" for rows in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(ylabel=_unit(comparison.metric), xlim=(ticks[0] / 1.15, ticks[-1] * 1.15))
        axes.set_xlabel("labelled rows")
        axes.spines[["top", "right"]].set_visible(False)
        names = [fitting(name, WIDTH * 0.85 / columns) for name in looks]
        axes.legend(
            [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")],
            names, loc="upper center", bbox_to_anchor=(0.42, -_AXIS / _PLOT - 0.02), ncols=columns, frameon=False,
            fontsize=FONT - 1, borderpad=0, columnspacing=1.0, handlelength=1.8, labelspacing=0.35,
        )  # fmt: skip

    description = "; ".join(
        f"{name}: " + ", ".join(f"{shown(score, comparison.metric)} at {rows:,}" for rows, score, _ in points[name])
        for name in looks
    )
    title = f"{comparison.metric} by labelled rows"
    margins = (0.15, (_AXIS + legend) / height, 0.82, (_PLOT - 8) / height)
    return Picture(title, f"{title}. {description}.", svg(draw, height, "curve", margins=margins))


def alone(picture: Picture) -> str:
    """A picture as the text of an .svg file of its own, on white."""
    opening = f'<svg role="img" style="background:#fff" width="{2 * WIDTH}"'
    svg_alone = picture.svg.replace(' aria-hidden="true" focusable="false"', "", 1).replace("<svg", opening, 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg_alone}\n'


def _looks(comparison: Comparison) -> dict[str, tuple[str, str, str]]:
    """Colour, mark and kind of line by name, the best on validation first."""
    colours, greys, marks = cycle(_COLOURS), cycle(_GREY), cycle(_MARKS)
    return {
        line.entry.name: (next(greys), next(marks), "--")
        if line.entry.is_baseline
        else (next(colours), next(marks), "-")
        for line in comparison.ranked(comparison.groups[0])
    }


def _points(score: float, metric: str) -> float:
    return score if is_error(metric) else 100 * score


def _unit(metric: str) -> str:
    return f"{metric} (less is better)" if is_error(metric) else f"{metric}, points of 100"


def _score(score: float, interval: Interval, metric: str) -> str:
    return f"{shown(score, metric)} ({bounds(interval, metric)})"
