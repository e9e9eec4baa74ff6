"""The command that lists or clears the cache of activations.

python -m nlp_transfer.activations list|clear [--cache_dir FOLDER]
"""

from __future__ import annotations

import argparse
import difflib
import time
from collections.abc import Sequence
from typing import NoReturn

from nlp_transfer.activations.activation_store import cache_folder, clear, entries_of
from nlp_transfer.errors import OptionError
from nlp_transfer.system.cli import run_recipe

_COMMANDS = ("list", "clear")


def main(argv: Sequence[str] | None = None) -> None:
    """List or clear the cache. Raises OptionError for another command or flag."""
    parser = _Parser(
        prog="nlp-transfer cache",
        description="List or clear the cache of activations of frozen layers.",
    )
    parser.add_argument("command", metavar="list|clear", help="List what is cached, or delete all of it.")
    parser.add_argument(
        "--cache_dir", help=f"The folder of the cache (default: {cache_folder()}, or $NLP_TRANSFER_CACHE)."
    )
    arguments = parser.parse_args(argv)
    if arguments.command not in _COMMANDS:
        near = difflib.get_close_matches(arguments.command, _COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the commands are {' and '.join(_COMMANDS)}."
        raise OptionError(f"unknown command 'cache {arguments.command}'; {hint}")
    folder = cache_folder(arguments.cache_dir)
    if arguments.command == "clear":
        entries, outcome = clear(folder), "freed"
    else:
        entries, outcome = entries_of(folder), "in total"
        for entry in entries:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used_at))
            print(f"{entry.path.name}  {entry.bytes / 1e6:>10,.1f} MB  used {used}  {entry.description}")
    total = sum(entry.bytes for entry in entries) / 1e6
    print(f"{len(entries)} folder{'s' * (len(entries) != 1)}, {total:,.1f} MB {outcome}, in {folder}")


class _Parser(argparse.ArgumentParser):
    """Stops with an OptionError, which is one line, and not with the usage."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{self.prog}: {message}; as in: {self.prog} list")


if __name__ == "__main__":
    run_recipe(main)
