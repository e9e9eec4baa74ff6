"""The job of one turn of the benchmark, and its result, alike for all sides (peers.py)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import nlp_transfer as nt
from nlp_transfer.encoders.cost import training_flops
from nlp_transfer.metrics import span_scores


@dataclass(frozen=True)
class Job:
    """The settings of a turn: the same for every side, but for `side` and `folder`.

    `files` maps train, validation and test to JSONL files. `folder` is where a trained network goes, and where a turn
    that predicts finds one.
    """

    side: str
    task: str = "classification"
    files: dict[str, str] = field(default_factory=dict)
    folder: str = "."
    encoder: str = ""
    max_length: int | None = None
    steps: int = 1
    batch_size: int = 32
    rate: float = 5e-5
    seed: int = 0
    mixed_precision: str = "auto"
    strategy: dict[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> bool:
        """Whether each word has a label, and not each row."""
        return self.task == "ner"

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The rows of a split, with `text` and `label`, or `words` and `tags`."""
        return [json.loads(line) for line in Path(self.files[split]).read_text(encoding="utf-8").splitlines()]


def features(job: Job, split: str, tokenizer: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """Token ids and labels of each row; a word's label stands at its first token."""
    rows, ids = job.rows(split), {name: place for place, name in enumerate(names)}
    texts = [row["words" if job.tags else "text"] for row in rows]
    encoded = tokenizer(texts, truncation=True, is_split_into_words=job.tags)
    rows_of_features = []
    for i, row in enumerate(rows):
        labels: Any = ids[row["label"]] if not job.tags else []
        if job.tags:
            words = encoded.word_ids(i)
            for word, before in zip(words, [None, *words], strict=False):
                # A tag that train has not is scored as wrong, and no tag of train stands for it.
                is_first = word is not None and word != before
                labels.append(ids.get(row["tags"][word], len(ids)) if is_first else -100)
        rows_of_features.append({"input_ids": encoded["input_ids"][i], "labels": labels})
    return rows_of_features


def random_batches(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Batches of every row once in random order, over and over."""
    while True:
        order = random.sample(rows, len(rows))
        yield from (order[i : i + size] for i in range(0, len(order), size))


def watch(network: nn.Module) -> list[Tensor]:
    """A list that fills with the lengths of the rows that the network trains on, `(rows,)` for each batch."""
    lengths: list[Tensor] = []

    def see(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if module.training:
            lengths.append(kwargs["attention_mask"].sum(1))

    network.register_forward_pre_hook(see, with_kwargs=True)
    return lengths


def trained(
    network: Any, lengths: list[Tensor], seconds: float, precision: str, first_layer: int = 0
) -> dict[str, Any]:
    """The result of training, of every side; layers under `first_layer` did not run in it."""
    rows = torch.cat(lengths).cpu().numpy()
    base = network.get_base_model() if hasattr(network, "get_base_model") else network
    return {
        "work_seconds": seconds,
        "rows": len(rows),
        "tokens": int(rows.sum()),
        "trained_weights": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "precision": precision,
        "flops": training_flops(nt.Encoder(base), rows, first_layer),
    }


def predicted(rows: list[dict[str, Any]], answers: list[Any], seconds: float, job: Job) -> dict[str, Any]:
    """The result of predicting, of either side."""
    gold = [row["tags" if job.tags else "label"] for row in rows]
    return {"work_seconds": seconds, "rows": len(rows), "score": agreement(gold, answers, job)}


def score(answers: list[tuple[Any, Any]], names: Sequence[str], job: Job) -> float:
    """The score of pairs of label ids, predicted and gold, or of rows of them."""
    known = [*names, "B-a type that train has not"]
    if not job.tags:
        return agreement([known[gold] for _, gold in answers], [known[guess] for guess, _ in answers], job)
    # The Trainer pads rows of a test set to the longest with -100 as well.
    kept = [[(g, t) for g, t in zip(*pair, strict=True) if t != -100] for pair in answers]
    return agreement([[known[t] for _, t in row] for row in kept], [[known[g] for g, _ in row] for row in kept], job)


def agreement(gold: list[Any], predicted_labels: list[Any], job: Job) -> float:
    """Accuracy of labels, or strict F1 of entities."""
    if not job.tags:
        return float(np.mean([g == t for g, t in zip(predicted_labels, gold, strict=True)]))
    return float(span_scores(predicted_labels, gold, "IOB2")["f1_strict"])
