"""The command `nlp-transfer`: recipes run, listed and copied, and the cache of activations.

It starts recipes and `nlp_transfer.activations` by name, and imports neither: a recipe is a file, not a module of the
package, and the command for the cache loads torch, for which `nlp-transfer list` or `--version` does not wait.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import json
import runpy
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from nlp_transfer.errors import OptionError
from nlp_transfer.system.cli import run_recipe
from nlp_transfer.version import __version__

_PACKAGE = Path(__file__).parent.parent

_OVERVIEW = """nlp-transfer {version}: transfer learning on text.

  nlp-transfer RECIPE [OPTIONS]      run a recipe (--help lists its options):
    {recipes}
  nlp-transfer list                  say what each recipe is for
  nlp-transfer copy RECIPE [FOLDER]  copy a recipe's file, to change it
  nlp-transfer cache list|clear      show or delete the cached activations of frozen layers
  nlp-transfer --version

To begin: nlp-transfer classify      (on the sample set of the package)"""


def main() -> None:
    """Do what the command line names. A recipe runs as `python recipes/NAME.py` does, with the same exit status."""
    name, *arguments = sys.argv[1:] or ["--help"]
    recipe = recipes().get(name.replace("-", "_"))
    if recipe:
        sys.argv[1:] = arguments
        runpy.run_path(str(recipe), run_name="__main__")
    else:
        run_recipe(partial(_COMMANDS.get(name, partial(_refuse, name)), arguments))


def recipes() -> dict[str, Path]:
    """The file of each recipe by its name: in the installed package, or in the checkout around it."""
    installed, checkout = _PACKAGE / "recipes", _PACKAGE.parent / "recipes"
    folder = installed if installed.is_dir() else checkout
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def notebooks() -> dict[str, Path]:
    """The notebooks beside the recipes, by their names."""
    folder = next(iter(recipes().values())).parent
    return {path.stem: path for path in sorted(folder.glob("*.ipynb"))}


def _overview(arguments: Sequence[str]) -> None:
    _require_none(arguments, "--help")
    print(_OVERVIEW.format(version=__version__, recipes=", ".join(recipes())))


def _version(arguments: Sequence[str]) -> None:
    _require_none(arguments, "--version")
    print(f"nlp-transfer {__version__}")


def _list(arguments: Sequence[str]) -> None:
    _require_none(arguments, "list")
    width = max(map(len, [*recipes(), *notebooks()]), default=0)
    for name, path in recipes().items():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        print(f"{name:<{width}}  {docstring.partition(chr(10))[0]}")
    for name, path in notebooks().items():
        heading = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"][0]
        print(f"{name:<{width}}  {heading.strip('# ' + chr(10))} (a notebook, to copy).")


def _copy(arguments: Sequence[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        raise OptionError("copy takes a recipe and a folder, as in: nlp-transfer copy classify .")
    name, folder = arguments[0], Path(*arguments[1:])
    files = recipes() | notebooks()
    recipe = files.get(name.replace("-", "_"))
    if recipe is None:
        raise OptionError(f"unknown recipe '{name}'{_nearest(name, files)}")
    target = folder / recipe.name
    try:
        with open(target, "x", encoding="utf-8") as file:
            file.write(recipe.read_text(encoding="utf-8"))
    except FileExistsError:
        raise OptionError(f"{target} already exists; name another folder, or move the file away.") from None
    except (FileNotFoundError, NotADirectoryError):
        raise OptionError(f"{folder} is not a folder; make it first, or name another one.") from None
    except PermissionError:
        raise OptionError(f"cannot write to {folder}: permission denied; name another folder.") from None
    starter = "jupyter lab" if recipe.suffix == ".ipynb" else "python"
    print(f"{target} is yours to change. Run it: {starter} {target}")


def _cache(arguments: Sequence[str]) -> None:
    importlib.import_module("nlp_transfer.activations.__main__").main(arguments)


def _refuse(name: str, _: Sequence[str]) -> NoReturn:
    raise OptionError(f"unknown command or recipe '{name}'{_nearest(name, (*_COMMANDS, *recipes()))}")


def _require_none(arguments: Sequence[str], command: str) -> None:
    if arguments:
        raise OptionError(f"nlp-transfer {command} takes no argument; got {' '.join(arguments)}.")


def _nearest(name: str, names: Sequence[str] | dict[str, Path]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_") if not name.startswith("-") else name, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; recipes are {', '.join(recipes())}."


_COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "list": _list, "copy": _copy, "cache": _cache,
    "--version": _version, "--help": _overview, "-h": _overview, "help": _overview,
}  # fmt: skip
