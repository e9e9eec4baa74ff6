"""Texts shortened to what a line or a cell has room for."""


def cut(text: str, length: int = 300) -> str:
    """A text in one line, its end left out where it has more than `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 2]} …"
