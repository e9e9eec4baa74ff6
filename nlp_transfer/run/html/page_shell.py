"""Self-contained HTML pages from templates."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

_SHARED = "nlp_transfer.run.html"
_SHARED_TEMPLATES = ("page_shell.html", "parts.html")


def filled(package: str, template: str, **values: Any) -> str:
    """A rendered template of `package`: one page without scripts or external files, and with all text escaped.

    The template extends `page_shell.html` and fills its blocks: `title`, `style`, `header`, `main` and `footer`. It may
    import the macros of `parts.html`: a figure, a box that scrolls, a table of numbers. A name that the template uses
    and `values` lack is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # slow to import, and only pages need it

    def read(name: str) -> str:
        home = _SHARED if name in _SHARED_TEMPLATES else package
        return (files(home) / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)
