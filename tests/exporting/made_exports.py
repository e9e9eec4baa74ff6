"""Tiny runs to export, without training: a saved model with a lively head, transfer.json and kept rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import GOOD, NAMES, PLACES, THINGS, review_lines

import nlp_transfer as nt
from nlp_transfer.data.batch import collate
from nlp_transfer.heads.task_head import output_layer
from nlp_transfer.run.reference_rows import REFERENCE_FILE

TEXTS = ["good", "", "the coffee was bad and the train was sad", "a zebra", *(text for text, _ in review_lines(16))]
LONG = " ".join(GOOD * 12)
SENTENCES = [
    "Anna was in Oslo .",
    "Boris met Clara in Lima.",
    "",
    "the coffee",
    f"{' '.join(NAMES * 5)} in {PLACES[0]}",
]
PAIRS = [("the coffee was good", "bad"), ("the train", "the hotel was sad"), (LONG, "good"), ("a", LONG), ("", "fine")]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are measured in no time."""
    monkeypatch.setattr("nlp_transfer.exporting.speed._SECONDS", 0.001)
    monkeypatch.setattr("nlp_transfer.exporting.speed._TURNS", 1)


def texts_for(head: nt.TaskHead) -> list[Any]:
    """Texts that a head takes, some of them longer than the tiny encoders read."""
    if head.pairs:
        return list(PAIRS)
    return [*SENTENCES, ["Anna", "was", "in", "Oslo"]] if head.labels_words else [*TEXTS, LONG, " ".join(THINGS * 20)]


def tiny_model(encoder: str | Path, head: nt.TaskHead, max_length: int | None = None) -> nt.TransferModel:
    """A model whose head is random and large, and has no favourite label, so that predictions differ between texts."""
    model = nt.TransferModel.load(encoder, head, max_length=max_length)
    torch.manual_seed(0)
    layer = output_layer(model.network)[1]
    torch.nn.init.normal_(layer.weight, std=10.0 / layer.weight.shape[1] ** 0.5)
    batch = collate(head.encode(head.columns_of(texts_for(head)), model.tokenizer, model.max_length), model.pad_id)
    with torch.inference_mode():
        logits = model.network.eval()(**batch).logits
    with torch.no_grad():
        layer.bias -= logits.flatten(0, -2).mean(dim=0)
    return model


def tiny_run(folder: Path, model: nt.TransferModel, texts: Sequence[Any] | None = None) -> Path:
    """The folder of a run whose kept rows are labelled as the model itself predicts them."""
    texts = texts_for(model.head) if texts is None else texts
    model.save(folder / "model")
    (folder / "transfer.json").write_text(json.dumps({"task": model.head.task, "data": {}, "scores": {}}))
    lines = []
    for text, prediction in zip(texts, model.predict(texts, precision="no"), strict=True):
        if model.head.labels_words:
            row: dict[str, Any] = {"words": prediction.words, "tags": prediction.tags}
            if not prediction.words:
                continue
        elif model.head.pairs:
            row = {"text": text[0], "text_pair": text[1], "label": prediction.answer}
        else:
            row = {"text": text, "label": prediction.answer}
        lines.append(json.dumps(row) + "\n")
    (folder / REFERENCE_FILE).write_text("".join(lines))
    return folder
