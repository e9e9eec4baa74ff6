"""The heads, rows and encoders on which the contracts of heads and strategies are tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import BAD, GOOD, sentence_lines, tiny_config
from transformers import AutoModel, AutoTokenizer

import nlp_transfer as nt
from nlp_transfer.data.batch import collate
from nlp_transfer.data.read_rows import read_classification, read_tagged
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits

HEADS: dict[str, Callable[[], nt.TaskHead]] = {
    "native": lambda: nt.TextClassificationHead(["praise", "complaint"]),
    "pooled": lambda: nt.TextClassificationHead(["praise", "complaint"], pooling="mean", hidden=(16,)),
    "sentiment": lambda: nt.SentimentHead(["complaint", "praise"]),
    "pairs": lambda: nt.TextClassificationHead(["praise", "complaint"], pairs=True),
    "multi_label": lambda: nt.MultiLabelHead(["praise", "complaint"]),
    "regression": lambda: nt.RegressionHead("stars", mean=3.0, deviation=1.5),
    "ner": lambda: nt.NERHead(["PER", "LOC"]),
}


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Splits]:
    """Texts of three good words or of three bad ones, and the tiny sentences."""
    folder = tmp_path_factory.mktemp("contracts")
    lines = []
    for i in range(48):
        words, label = ((GOOD, "praise"), (BAD, "complaint"))[i % 2]
        lines.append(" ".join(words[(i // 2 + j * (i % 3 + 1)) % 8] for j in range(3)) + f",{label}\n")
    sentences = ["".join(f"{word}\t{tag}\n" for word, tag in line) + "\n" for line in sentence_lines(36)]
    for name, texts, tagged in (("train", lines[:40], sentences[:28]), ("validation", lines[40:], sentences[28:])):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(texts))
        (folder / f"{name}.conll").write_text("".join(tagged))
    names = [str(folder / name) for name in ("train", "validation")]
    texts = Splits(*(read_classification(f"{name}.csv") for name in names), None)
    tagged = Splits(*(read_tagged(f"{name}.conll") for name in names), None)
    return {
        "native": texts,
        "pooled": texts,
        "sentiment": texts,
        "pairs": texts.each(in_pairs),
        "multi_label": texts.each(lambda rows: relabelled(rows, lambda label: [label] * (label == "praise"))),
        "regression": texts.each(lambda rows: relabelled(rows, lambda label: 4.5 if label == "praise" else 1.5)),
        "ner": tagged,
    }


def relabelled(rows: Rows, relabel: Callable[[str], object]) -> Rows:
    labels = [relabel(label) for label in rows.data["label"]]
    return replace(rows, data=rows.data.remove_columns("label").add_column("label", labels))


def in_pairs(rows: Rows) -> Rows:
    """The last word of each text is its second text."""
    parted = [text.rpartition(" ")[::2] for text in rows.data["text"]]
    data = rows.data.remove_columns("text").add_column("text", [first for first, _ in parted])
    return replace(rows, data=data.add_column("text_pair", [second for _, second in parted]))


@pytest.fixture(scope="session")
def lively(checkpoint: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`lively(family)` is its tiny encoder with weights so large that texts differ: what has to be learned is there."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            folder = Path(shutil.copytree(checkpoint(family), tmp_path_factory.mktemp(family) / "lively"))
            config = tiny_config(family, AutoTokenizer.from_pretrained(folder).vocab_size)
            config.initializer_range = 0.1 if family == "mobilebert" else 0.2  # MobileBERT has no norms to tame it
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(folder)
            made[family] = folder
        return made[family]

    return make


def mean_loss(model: nt.TransferModel, splits: Splits) -> float:
    """The loss of an item of the training rows; scores, which cost more than all else here, are for other tests."""
    tensors = collate(model.encode(splits.train.data)[:], model.pad_id)
    labels = tensors.pop("labels")
    with torch.inference_mode():
        logits = model.network.eval()(**tensors).logits
    return model.head.loss(logits, labels, int((labels != -100).sum())).item()


def batch(model: nt.TransferModel, splits: Splits) -> dict[str, torch.Tensor]:
    return collate(model.encode(splits.validation.data)[:], model.pad_id)
