"""SVG pictures for HTML pages, drawn by matplotlib, with text as text."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

# The width of a phone, so that text in pictures is as large as that around them.
WIDTH, FONT = 360, 12

MARGINS = (0.13, 0.2, 0.85, 0.77)
"""The place of axes with tick labels in a picture: left, bottom, width and height, as shares of it."""


class Picture(NamedTuple):
    """An SVG, its title, and a description of what it shows."""

    title: str
    words: str
    svg: str


def svg(
    draw: Callable[[Axes], None],
    height: float,
    name: str,
    *,
    width: float = WIDTH,
    margins: tuple[float, float, float, float] = (0, 0, 1, 1),
) -> str:
    """An SVG element of `width` by `height` pixels with the axes that `draw` has drawn into.

    `name` becomes the prefix of its ids, which must be unique in a page.
    """
    import matplotlib  # slow to import, and only pages with pictures need it
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",  # text, not outlines: browsers find a font for any script
        "svg.hashsalt": "nlp_transfer",  # so that the same data give the same file
        "text.parse_math": False,  # a label may contain a $
        "font.size": FONT,
    }
    buffer = io.StringIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters that matplotlib's own font lacks
        figure = Figure(figsize=(width / 72, height / 72))
        draw(figure.add_axes(margins))
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true" focusable="false"', text, count=1)
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)


def bar(x: float, y: float, width: float, height: float, colour: str) -> Rectangle:
    """A filled rectangle without an edge."""
    from matplotlib.patches import Rectangle  # as above

    return Rectangle((x, y), width, height, color=colour, linewidth=0)


def fitting(text: str, width: float) -> str:
    """The printable text, truncated to about `width` pixels."""
    line = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
    used = 0.0
    for place, character in enumerate(line):
        used += 12.5 if unicodedata.east_asian_width(character) in "WF" else 7.4
        if used > width:
            return f"{line[: max(1, place - 1)]}…"
    return line
