"""Small data sets that the tests of the checks make up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nlp_transfer.checks.checked_rows import Part, parts_of
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.splits import Splits

Texts = Sequence[tuple[str, str]]
Sentences = Sequence[Sequence[tuple[str, str]]]

FILLER = [(f"row {word} is like no other", "ab"[i % 2]) for i, word in enumerate(["one", "two", "three", "four"])]


def texts(folder: Path, train: Texts, validation: Texts | None = None, test: Texts | None = None) -> Splits:
    """Splits of texts with labels; line 1 of each file is its first row."""
    paths = []
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        paths.append(folder / f"{name}.jsonl" if rows is not None else None)
        if rows is not None:
            lines = (json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    train_rows, *others = (read_classification(path) if path else None for path in paths)
    assert train_rows
    return Splits(train_rows, *others)


def sentences(folder: Path, train: Sentences, test: Sentences | None = None) -> Splits:
    """Splits of sentences of words with tags."""
    paths = []
    for name, rows in (("train", train), ("test", test)):
        paths.append(folder / f"{name}.jsonl" if rows is not None else None)
        if rows is not None:
            lines = (json.dumps({"tokens": [w for w, _ in row], "tags": [t for _, t in row]}) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    train_rows, test_rows = (read_tagged(path) if path else None for path in paths)
    assert train_rows
    return Splits(train_rows, None, test_rows)


def parts(splits: Splits) -> tuple[Part, ...]:
    """The splits as the checks see them."""
    return parts_of(splits)


def lines(finding: object) -> list[int]:
    """The lines that a finding is about."""
    return [place.line for place in finding.places]  # type: ignore[attr-defined]
