"""The options --whole and --rest, and the marks of the tests that a plain run leaves out.

    pytest           what is fast, and of the tables marked `thinned` a fixed draw of cases
    pytest --whole   every test and every case
    pytest --rest    what `pytest` leaves out, and nothing else

A draw takes a fixed share of a table's cases by the checksum of their ids, and adds cases until every value of every
parameter occurs. It is the same on every machine and in every order. Tests named on the command line (`file.py::test`)
are never thinned.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

_LEFT_OUT = "left_out"
"""Key under which a pytest-xdist worker reports how many tests it has left out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nlp_transfer")
    group.addoption("--whole", action="store_true", help="run every test, and every case of tables marked `thinned`")
    group.addoption("--rest", action="store_true", help="run only what `pytest` without --whole leaves out")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole: run this test, or this case, with --whole only")
    config.addinivalue_line("markers", "thinned(share): run this share of the cases, and all of them with --whole")


@pytest.hookimpl(tryfirst=True)  # before -k and -m: the draw must not depend on what else is chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_rest = config.getoption("rest")
    if not is_rest and (config.getoption("whole") or any("::" in argument for argument in config.args)):
        return
    kept = plain(items)
    left_out = [item for item in items if (item in kept) == is_rest]
    items[:] = [item for item in items if (item in kept) != is_rest]
    config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workeroutput"):
        config.workeroutput[_LEFT_OUT] = len(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Report as deselected what the workers of pytest-xdist leave out; each of them has collected all."""
    count = getattr(node, "workeroutput", {}).get(_LEFT_OUT, 0)  # a worker that has crashed has no output
    if node.gateway.id == "gw0" and count:
        node.config.hook.pytest_deselected(items=[SimpleNamespace()] * count)


def plain(items: list[pytest.Item]) -> set[pytest.Item]:
    """The tests of a run without --whole."""
    chosen = [item for item in items if not item.get_closest_marker("whole")]
    kept = {item for item in chosen if not item.get_closest_marker("thinned")}
    tables: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in chosen:
        if item not in kept:
            tables[item.nodeid.partition("[")[0]].append(item)
    for table in tables.values():
        kept |= drawn(table)
    return kept


def drawn(table: list[pytest.Item]) -> set[pytest.Item]:
    """A share of the cases of one test, and what else it takes to have each value of each parameter once."""
    (share,) = table[0].get_closest_marker("thinned").args  # type: ignore[union-attr]
    kept, covered = set(), set()
    for item in sorted(table, key=checksum):
        values = {(name, repr(value)) for name, value in item.callspec.params.items()}  # type: ignore[attr-defined]
        if checksum(item) < share * 2**32 or not values <= covered:
            kept.add(item)
            covered |= values
    return kept


def checksum(item: pytest.Item) -> int:
    """A checksum of file and case: tests of one file that share a table keep the same cases, and what they share."""
    return zlib.crc32(f"{item.path.name}[{item.nodeid.partition('[')[2]}".encode())
