"""Pictures of label counts, text lengths and the overlap of splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlp_transfer.run.html.drawing import FONT, MARGINS, WIDTH, Picture, bar, fitting, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"train": "#1f5f8b", "validation": "#b8860b", "test": "#8b2f5f"}
_LABELS = 26  # in one picture; more of them stand beside each other
_MOST_LABELS = 104  # more cannot be told apart in a picture; the page lists all
_ROW, _LEGEND = 34, 24  # units of height for a label, and for what colours mean


def pictures(
    counts: Mapping[str, Mapping[str, int]],
    lengths: Mapping[str, np.ndarray],
    max_length: int | None,
    overlaps: Mapping[tuple[str, str], tuple[int, int]],
    rows: Mapping[str, int],
    has_scores: bool = False,
) -> list[list[Picture]]:
    """Lengths with the cut, the overlap of splits, and label counts, in rows: many labels have one of their own."""
    made = []
    if lengths and max_length:
        made.append(length_picture(lengths, max_length))
    if overlaps:
        made.append(overlap_picture(overlaps, rows))
    of_labels = [score_picture(counts)] if has_scores else list(label_pictures(counts))
    return [made + of_labels] if len(of_labels) == 1 else [made, of_labels]


def label_pictures(counts: Mapping[str, Mapping[str, int]]) -> Iterator[Picture]:
    """The share of each label in each split, as bars under its name."""
    labels = list(counts["train"])[:_MOST_LABELS]
    totals = {split: max(1, sum(of_split.values())) for split, of_split in counts.items()}
    longest = max((counts[split][label] / totals[split] for split in counts for label in labels), default=1) or 1
    for start in range(0, len(labels), _LABELS):
        some = labels[start : start + _LABELS]
        many = len(labels) > _LABELS
        title = f"Labels {start + 1} to {start + len(some)} by frequency" if many else "Labels"

        def draw(axes: Axes, some: Sequence[str] = some) -> None:
            axes.set(xlim=(0, WIDTH), ylim=(len(some) * _ROW + _LEGEND, 0))
            axes.axis("off")
            _legend(axes, list(counts))
            for row, label in enumerate(some):
                top = _LEGEND + row * _ROW
                shown = " / ".join(f"{counts[split][label]:,}" for split in counts)
                axes.text(0, top + 12, fitting(label, WIDTH - 8 * len(shown) - 8), va="baseline")
                axes.text(WIDTH, top + 12, shown, ha="right", va="baseline", color="#555555")
                for place, split in enumerate(counts):
                    width = counts[split][label] / totals[split] / longest * WIDTH
                    axes.add_patch(bar(0, top + 16 + 5 * place, width, 4, _COLOURS[split]))

        words = "; ".join(f"{label}: " + ", ".join(f"{counts[s][label]:,} in {s}" for s in counts) for label in some)
        yield Picture(title, f"{title}. {words}.", svg(draw, len(some) * _ROW + _LEGEND, f"labels{start}"))


def length_picture(lengths: Mapping[str, np.ndarray], max_length: int) -> Picture:
    """How many tokens the texts of each split have, and where they are cut."""
    everything = np.concatenate(list(lengths.values()))
    end = max(8, int(np.quantile(everything, 0.995)) + 1)
    shows_cut = max_length <= 2 * end
    end = max(end, int(max_length * 1.05)) if shows_cut else end
    step = -(-end // 30)  # whole tokens, or some bars would hold a length more than others
    edges = np.arange(0, end + step, step)
    end = int(edges[-1])

    def draw(axes: Axes) -> None:
        for split, tokens in lengths.items():
            heights = np.histogram(np.minimum(tokens, end), edges)[0] / max(1, len(tokens))
            axes.stairs(heights * 100, edges, color=_COLOURS[split], label=split, linewidth=1.6)
        if shows_cut:
            axes.axvline(max_length, color="#b00020", linestyle="--", linewidth=1.4, label=f"cut at {max_length}")
        axes.set(xlim=(0, end), xlabel="tokens of a text", ylabel="% of rows")
        axes.legend(frameon=False, fontsize=FONT - 1)
        axes.spines[["top", "right"]].set_visible(False)

    long = {split: int((tokens > max_length).sum()) for split, tokens in lengths.items()}
    words = ", ".join(
        f"{split}: half have {int(np.median(tokens))} tokens or fewer, the longest {int(tokens.max()):,}, "
        f"{long[split]:,} more than {max_length}"
        for split, tokens in lengths.items()
    )
    title = "Lengths" if shows_cut else f"Lengths (the cut at {max_length} is far to the right)"
    return Picture(title, f"Lengths of the texts in tokens. {words}.", svg(draw, 230, "lengths", margins=MARGINS))


def overlap_picture(overlaps: Mapping[tuple[str, str], tuple[int, int]], rows: Mapping[str, int]) -> Picture:
    """Of each split, the share of rows that are also in another one, exactly and nearly."""

    def draw(axes: Axes) -> None:
        axes.set(xlim=(0, WIDTH), ylim=(len(overlaps) * 46 + 4, 0))
        axes.axis("off")
        for row, ((split, other), (exact, near)) in enumerate(overlaps.items()):
            top = row * 46
            axes.text(0, top + 13, f"{split} in {other}", va="baseline")
            shown = f"{exact:,} exact, {near:,} near"
            axes.text(WIDTH, top + 13, shown, ha="right", va="baseline", color="#555555")
            axes.add_patch(bar(0, top + 19, WIDTH, 12, "#e6e6e6"))
            all_rows = max(1, rows[split])
            wide = [_bar_length(count, all_rows) for count in (exact, near)]
            axes.add_patch(bar(0, top + 19, wide[0], 12, "#b00020"))
            axes.add_patch(bar(wide[0], top + 19, min(wide[1], WIDTH - wide[0]), 12, "#e08a00"))

    words = "; ".join(
        f"{exact:,} of {rows[split]:,} {split} rows are also in {other} exactly, {near:,} nearly"
        for (split, other), (exact, near) in overlaps.items()
    )
    return Picture(
        "Rows in two splits", f"Overlap of the splits. {words}.", svg(draw, len(overlaps) * 46 + 4, "overlap")
    )


def score_picture(counts: Mapping[str, Mapping[str, int]]) -> Picture:
    """The distribution of scores, where labels are numbers."""
    points = {
        split: np.repeat([float(label) for label in scores], list(scores.values())) for split, scores in counts.items()
    }
    edges = np.histogram_bin_edges(np.concatenate(list(points.values())), 30)

    def draw(axes: Axes) -> None:
        for split, scores in points.items():
            heights = np.histogram(scores, edges)[0] / max(1, len(scores))
            axes.stairs(heights * 100, edges, color=_COLOURS[split], label=split, linewidth=1.6)
        axes.set(xlabel="score", ylabel="% of rows")
        axes.legend(frameon=False, fontsize=FONT - 1)
        axes.spines[["top", "right"]].set_visible(False)

    words = ", ".join(f"{split}: from {scores.min():g} to {scores.max():g}, mean {scores.mean():.2f}"
                     for split, scores in points.items() if len(scores))  # fmt: skip
    return Picture("Scores", f"Scores. {words}.", svg(draw, 230, "scores", margins=MARGINS))


def _bar_length(part: int, whole: int) -> float:
    """The length of a bar, visible however small the part is."""
    return max(3.0, part / whole * WIDTH) if part else 0.0


def _legend(axes: Axes, splits: Sequence[str]) -> None:
    at = 0.0
    for split in splits:
        axes.add_patch(bar(at, 2, 10, 8, _COLOURS[split]))
        axes.text(at + 14, 11, split, va="baseline", color="#555555")
        at += 34 + 7.4 * len(split)
