"""Cells that spell lists."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlp_transfer.data.readers.list_cells import list_in

LABELS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6), max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LABELS)
def test_lists_as_python_json_and_numpy_write_them_are_those_lists(labels):
    assert list_in(repr(labels)).values == labels
    assert list_in(json.dumps(labels)).values == labels
    assert list_in(f" {tuple(labels)!r} ").values == labels
    assert list_in(str(np.array(labels, object))).values == labels
    assert list_in(repr(np.array(labels, object))).values == labels


@pytest.mark.parametrize(
    ("text", "values", "style"),
    [
        ("[]", [], "JSON"),
        ('["late", "rude"]', ["late", "rude"], "JSON"),
        ("['late', 'rude']", ["late", "rude"], "Python"),
        ("('late',)", ["late"], "Python"),
        ("{'rude', 'late'}", ["late", "rude"], "Python"),
        ("['late' 'rude']", ["late", "rude"], "NumPy"),
        ("['late'\n 'rude']", ["late", "rude"], "NumPy"),
        ("[0 1 0]", [0, 1, 0], "NumPy"),
        ("[0. 1. 0.]", [0.0, 1.0, 0.0], "NumPy"),
        ("array(['late', 'rude'], dtype=object)", ["late", "rude"], "Python"),
        ("[0, 1, 0]", [0, 1, 0], "JSON"),
        ("[01 10]", [1, 10], "NumPy"),
    ],
)
def test_each_style_is_told(text, values, style):
    assert list_in(text) == (values, style)


@pytest.mark.parametrize(
    "text",
    ["", "late", "[late, rude]", "[sic] he said", "['late' ... 'rude']", "{'a': 1}", '{"choices": ["a"]}', "(a)", "[",
     "(1)", "['a', nan]", "(" * 5000 + ")" * 5000, "__import__('os')", "[x for x in 'ab']", "list('ab')"],
)  # fmt: skip
def test_other_texts_are_no_lists(text):
    assert list_in(text) is None
