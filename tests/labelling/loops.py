"""A labelling loop in tiny: raw reviews, their true labels, an encoder that takes no time, and annotators."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import review_lines

from nlp_transfer.config import LabellingOptions
from nlp_transfer.labelling.batch_formats import ROW_ID
from nlp_transfer.labelling.text_encoder import TextEncoder
from nlp_transfer.labelling.texts_to_label import plain_text

GOLD = {f"{text} {number}": label for number, (text, label) in enumerate(review_lines(60))}
"""Sixty texts, each unlike the others, and their labels."""

LABELS = ["complaint", "praise"]


def embed(texts: Any) -> np.ndarray:
    """Bags of letters pairs: alike texts have alike vectors, and computing them takes no time."""
    vectors = np.zeros((len(texts), 64), np.float32)
    for row, text in enumerate(texts):
        for first, second in itertools.pairwise(text):
            vectors[row, (31 * ord(first) + ord(second)) % 64] += 1
    return vectors


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a module that imports this, vectors take no time, and no model is loaded."""
    monkeypatch.setattr(TextEncoder, "embed", lambda self, texts: embed(texts))
    monkeypatch.setattr(TextEncoder, "is_tagger", False)


def raw_file(folder: Path, texts: Any = GOLD) -> Path:
    """The raw texts as a file."""
    path = folder / "raw.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def options(folder: Path, **given: Any) -> LabellingOptions:
    """The options of an action on the loop in `folder`."""
    return LabellingOptions(folder=str(folder / "labelling"), **given)


def beginning(folder: Path, **given: Any) -> LabellingOptions:
    """The options of the first `next`."""
    files = {} if "text_file" in given else {"text_file": str(raw_file(folder))}
    return options(folder, **{**files, "label_names": LABELS, "rows": 20, **given})


def state_of(folder: Path) -> dict[str, Any]:
    """The state file."""
    return json.loads((folder / "labelling" / "state.json").read_text(encoding="utf-8"))


def rows_in(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def annotated(batch: Path, back: Path, change: Callable[[list[dict[str, Any]]], Any] | None = None) -> Path:
    """A CSV batch as it comes back, each row with its true label; `change` may change its rows."""
    rows = rows_in(batch)
    for row in rows:
        row["label"] = GOLD.get(plain_text(row["text"]), "")
    rows = (change(rows) if change else None) or rows
    with open(back, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [ROW_ID, "text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    return back


def texts_of(folder: Path) -> Mapping[str, str]:
    """The raw texts by their ids."""
    lines = (folder / "labelling" / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    return {row[ROW_ID]: row["text"] for row in map(json.loads, lines)}
