"""The picture of a confusion matrix, legible for two labels and for a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nlp_transfer.run.html.drawing import FONT, Picture, bar, fitting, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 150
"""In one picture; of more labels there is the table of pairs alone."""

_NOTHING = "(no entity)"


class _Shape(NamedTuple):
    """Pixels of a cell and of the label names, their font size, and whether cells show counts."""

    cell: int
    names: int
    font: int
    has_counts: bool


def matrix_picture(labels: Sequence[str], confusion: Sequence[tuple[str, str, int]]) -> tuple[Picture, int] | None:
    """A row for each true label, a cell for each predicted one, shaded by its share of the row; and the width.

    The empty name stands for no entity. None where there are too many labels. The diagonal is blue, errors are red.
    """
    names = [*labels, *([""] if any("" in pair[:2] for pair in confusion) else [])]
    if len(names) > MOST_LABELS:
        return None
    place = {name: i for i, name in enumerate(names)}
    shape = _shape(len(names), max(len(name or _NOTHING) for name in names))
    cell, room, font, has_counts = shape
    rows = [0] * len(names)
    for true, _, count in confusion:
        rows[place[true]] += count
    size = len(names) * cell
    # Above the cells are the predicted labels, and above these the heading "predicted". Totals are left of the cells:
    # at the right, where a phone cuts off what has to be scrolled to, "of 412" would read "of 41".
    top, left = room + 20, room + (50 if has_counts else 0)

    def draw(axes: Axes) -> None:
        axes.set(xlim=(0, left + size), ylim=(top + size, 0))
        axes.axis("off")
        axes.text(left, 10, "predicted →", fontsize=FONT, va="center", color="#444444")
        axes.text(0, top - 8, "true ↓", fontsize=FONT, va="center", color="#444444")
        for i, name in enumerate(names):
            text = fitting(name or _NOTHING, (room - 8) * 12 / font)
            middle = cell * (i + 0.5)
            axes.text(room - 5, top + middle, text, ha="right", va="center", fontsize=font)
            axes.text(left + middle, top - 4, text, ha="center", va="bottom", rotation=90, fontsize=font)
            if has_counts:
                axes.text(room, top + middle, f"of {rows[i]:,}", va="center", fontsize=10, color="#444444")
        lines = [cell * i for i in range(len(names) + 1)]
        axes.hlines([top + at for at in lines], left, left + size, colors="#e2e2e2", linewidth=0.6)
        axes.vlines([left + at for at in lines], top, top + size, colors="#e2e2e2", linewidth=0.6)
        for true, predicted, count in confusion:
            share = count / max(rows[place[true]], 1)
            x, y = left + place[predicted] * cell, top + place[true] * cell
            patch = bar(x + 0.5, y + 0.5, cell - 1, cell - 1, "#1f5f8b" if true == predicted else "#b00020")
            patch.set_alpha(0.15 + 0.85 * share)
            axes.add_patch(patch)
            if has_counts:
                text, is_dark = f"{count:,}", share > 0.45
                size_of_text = 12 if len(text) <= 3 else 9
                colour = "#ffffff" if is_dark else "#1c1c1c"
                at = x + cell / 2, y + cell / 2
                axes.text(*at, text, ha="center", va="center", fontsize=size_of_text, color=colour)

    wrong = sum(count for true, predicted, count in confusion if true != predicted)
    pairs = [pair for pair in confusion if pair[0] != pair[1]][:5]
    most = "; ".join(f"{count:,} of {true or _NOTHING} as {label or _NOTHING}" for true, label, count in pairs)
    words = f"Confusion matrix of {len(names)} labels, {wrong:,} of {sum(rows):,} off its diagonal. Most often: {most}."
    width = left + size
    return Picture("Confusion matrix", words if pairs else f"{words[: words.index('.')]}.", svg(
        draw, top + size, "confusion", width=width
    )), width  # fmt: skip


def _shape(labels: int, longest: int) -> _Shape:
    """The picture of few labels is as wide as a phone; that of many scrolls."""
    if labels <= 12:
        room = min(125, 16 + int(7.4 * longest))
        return _Shape(max(28, min(64, (352 - room - 50) // labels)), room, FONT, True)
    return _Shape(12, min(200, 12 + 6 * longest), 9, False)
