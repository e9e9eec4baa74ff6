"""Self-contained HTML pages from templates."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

_SHARED = "nlp_transfer.run.html"
_SHARED_TEMPLATES = ("page_shell.html", "parts.html")


def filled(package: str, template: str, **values: Any) -> str:
    """A template of `package`, filled: no script, no network, the pictures in it, and no text taken for code.

    The template extends `page_shell.html` and fills its blocks: `title`, `style`, `header`, `main` and `footer`; what
    `parts.html` holds it may import: a figure, a box for what is wide, a table of numbers, whose look is the shell's.
    A name that the template has and `values` lack is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # takes a while, and only where a page is made

    def read(name: str) -> str:
        home = _SHARED if name in _SHARED_TEMPLATES else package
        return (files(home) / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)
