"""Answers of annotators: what they rejected or ignored is not what they marked."""

from __future__ import annotations

from typing import Any

ACCEPTED, REFUSED = "accept", ("reject", "ignore")
"""The answers of Prodigy."""


def is_refused(marked: Any) -> bool:
    """Whether a row or a span is one that an annotator rejected or ignored."""
    return isinstance(marked, dict) and marked.get("answer") in REFUSED
