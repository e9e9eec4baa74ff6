"""The draw of a thinned table."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from thinning import drawn, plain


def case(test: str, *marks: pytest.MarkDecorator, **values: Any) -> Any:
    """What the draw reads of one case of a test."""
    of_name = {some.mark.name: some.mark for some in marks}
    nodeid = f"tests/test_some.py::{test}[{'-'.join(map(str, values.values()))}]"
    callspec = SimpleNamespace(params=values)
    case = SimpleNamespace(path=Path("test_some.py"), nodeid=nodeid, callspec=callspec, get_closest_marker=of_name.get)
    return type("Case", (SimpleNamespace,), {"__hash__": object.__hash__})(**vars(case))


def table(share: float, size: int = 20, test: str = "test_a") -> list[Any]:
    return [case(test, pytest.mark.thinned(share), x=x, y=y) for x, y in product(range(size), range(size))]


def names(cases: Any) -> set[str]:
    return {some.nodeid.partition("[")[2] for some in cases}


def test_a_share_of_the_cases_is_drawn_whatever_their_order():
    cases = table(0.3)
    kept = names(drawn(cases))
    assert 0.25 * 400 < len(kept) < 0.35 * 400
    random.Random(0).shuffle(cases)
    assert names(drawn(cases)) == kept
    assert names(drawn(table(0.3, test="test_b"))) == kept  # tests that share a table share what they prepare for it


def test_every_value_of_every_parameter_is_drawn():
    for size in (1, 2, 9):
        kept = drawn(table(0.0, size))
        assert {some.callspec.params["x"] for some in kept} == set(range(size))
        assert {some.callspec.params["y"] for some in kept} == set(range(size))
        assert len(kept) < size * 2


def test_what_is_marked_whole_is_left_out_and_what_is_unmarked_is_not():
    usual, slow = case("test_usual"), case("test_slow", pytest.mark.whole)
    cases = table(0.3)
    assert plain([usual, slow, *cases]) == {usual, *drawn(cases)}
