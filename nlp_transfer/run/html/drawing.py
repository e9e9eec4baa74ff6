"""SVG pictures for HTML pages, whose text stays text."""

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

# Drawn as wide as a telephone shows it, so that its words are as large as those around it.
WIDTH, FONT = 360, 12

MARGINS = (0.13, 0.2, 0.85, 0.77)
"""Where axes with numbers at them stand in a picture: left, bottom, width and height, as shares of it."""


class Picture(NamedTuple):
    """An SVG, its title, and what it shows in words."""

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
    """What `draw` draws into axes, as an SVG element of `width` by `height` units, a pixel each.

    `name` sets its ids apart from those of other pictures of a page.
    """
    import matplotlib  # takes a while to load, and only where something is drawn
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",  # words stay words: browsers find a font for any script
        "svg.hashsalt": "nlp_transfer",  # the same data, the same file
        "text.parse_math": False,  # a label may hold a $
        "font.size": FONT,
    }
    written = io.StringIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of signs that matplotlib's own font has not
        figure = Figure(figsize=(width / 72, height / 72))
        draw(figure.add_axes(margins))
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true" focusable="false"', text, count=1)
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)


def bar(x: float, y: float, width: float, height: float, colour: str) -> Rectangle:
    """A filled box without an edge."""
    from matplotlib.patches import Rectangle  # as above

    return Rectangle((x, y), width, height, color=colour, linewidth=0)


def fitting(text: str, width: float) -> str:
    """As much of a text as has room in so many units, of signs that can be drawn."""
    line = "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))
    used = 0.0
    for place, sign in enumerate(line):
        used += 12.5 if unicodedata.east_asian_width(sign) in "WF" else 7.4
        if used > width:
            return f"{line[: max(1, place - 1)]}…"
    return line
