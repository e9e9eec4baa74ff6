"""Texts shortened to what a line has room for, or quoted as code."""

import re


def cut(text: str, length: int = 300) -> str:
    """A text in one line, truncated to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 2]} …"


def inline_code(text: str) -> str:
    """Text as inline code, in which Markdown reads neither HTML nor links; a longer fence holds backticks."""
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence, room = "`" * (longest + 1), " " * (longest > 0)
    return f"{fence}{room}{line}{room}{fence}"
