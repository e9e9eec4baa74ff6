"""Scores of a trained model and of baselines without transfer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset

from nlp_transfer.activations.frozen_layers import FrozenLayers
from nlp_transfer.config import CacheOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.heads import TaskHead
from nlp_transfer.heads.baselines import baseline_name
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.types import RunResult, Scores

log = logging.getLogger(__name__)

MOST_BASELINE_ROWS = 100_000
"""Most training rows of the baselines, which hold them in memory; of more, a random sample is used."""


@dataclass(frozen=True)
class Report:
    """Scores of a trained model on each split, and predictions on the last one.

    `split` names that one, of `rows` rows: test, or validation if there is no test split. `baselines`, `predictions`,
    `references`, `guesses` (the predictions of each baseline) and `raw_probabilities` (as in `TaskHead`) are of it.
    Where no row has a label `split` is None, and all of these are empty.
    """

    head: TaskHead
    scores: Mapping[str, Scores]
    baselines: Mapping[str, Scores]
    predictions: Sequence[Any]
    references: Sequence[Any]
    split: str | None
    rows: int
    run: RunResult
    guesses: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    raw_probabilities: Sequence[np.ndarray] = ()

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.head.task

    def compared(self) -> tuple[Sequence[str], list[tuple[str, list[float]]]]:
        """The names of the scores in tables, and these scores of the model and of each baseline."""
        names = self.head.table_scores
        lines = [("this model", self.scores[self.split])] if self.split else []
        lines += [(baseline_name(name), scores) for name, scores in self.baselines.items()]
        return names, [(name, [scores[score] for score in names]) for name, scores in lines]

    def table(self) -> str:
        """The scores of the model and the baselines, as plain text; empty where no row has a label."""
        if not self.split:
            return ""
        names, lines = self.compared()
        heading = f"{self.split} ({self.rows:,} row{'s' * (self.rows != 1)})"
        width = max(len(heading), *(len(name) for name, _ in lines))
        text = [f"{heading:<{width}}" + "".join(f"{name:>18}" for name in names)]
        text += [f"{name:<{width}}" + "".join(f"{score:>18.4f}" for score in scores) for name, scores in lines]
        return "\n".join(text)


def evaluate_run(
    model: TransferModel,
    splits: Splits,
    run: RunResult,
    accelerator: Accelerator,
    batch_size: int = 64,
    cache: CacheOptions | None = None,
    guesses: Mapping[str, Sequence[Any]] | None = None,
) -> Report | None:
    """Score a trained model on validation and, once, on test. Returns None on every process but the first.

    A network without frozen layers is scored in fp32; one with frozen layers on their activations, cached by `cache` as
    in training. The baselines are fitted to train and scored on test, or on validation if there is no test split;
    `guesses` are the predictions of others in their place, as where train has no labels. Without either split nothing
    is scored.
    """
    scores: dict[str, Scores] = {}
    predictions, references, split, raw = [], [], None, []
    for name, rows in (("validation", splits.validation), ("test", splits.test)):
        if rows is None:
            continue
        outputs = outputs_on(rows, model, accelerator, batch_size, cache, name)
        if accelerator.is_main_process:
            columns = rows.data[:]
            scores[name] = model.head.evaluate(outputs, columns)
            predictions, references, split = model.head.decode(outputs, columns), model.head.references(columns), name
            raw = model.head.raw_probabilities(outputs, columns)
    if not accelerator.is_main_process:
        return None
    last = splits.scored
    if last is not None and guesses is None:
        by_baseline = baseline_predictions(model.head, splits.train.data, [last.data])
        guesses = {name: predicted for name, (predicted,) in by_baseline.items()}
    guesses = guesses or {}
    return Report(
        head=model.head,
        scores=scores,
        baselines={name: model.head.all_scores(predicted, references) for name, predicted in guesses.items()},
        predictions=predictions,
        references=references,
        split=split,
        rows=len(references),
        run=run,
        guesses=guesses,
        raw_probabilities=raw,
    )


def outputs_on(
    rows: Rows,
    model: TransferModel,
    accelerator: Accelerator,
    batch_size: int = 64,
    cache: CacheOptions | None = None,
    split: str = "test",
) -> list[np.ndarray]:
    """Logits of each row, `(items, labels)`, of a trained model, on every process; `split` names the rows in logs."""
    frozen, below = FrozenLayers(model.encoder, accelerator, cache), model.encoder.frozen_layers
    inputs = TokenInputs(model.encode(rows.data, "Test rows" if split == "test" else None), model.pad_id)
    if below:
        frozen.run([inputs], [below])
    with frozen.truncated(below) as feed:
        return infer(
            model.network,
            model.head,
            feed(inputs),
            batch_size=batch_size,
            accelerator=accelerator,
            progress=split,
        )


def baseline_rows_note(rows: int) -> str:
    """A sentence on how many of the training rows the baselines learned from."""
    count = min(rows, MOST_BASELINE_ROWS)
    return f"The baselines learned from {count:,} of the {rows:,} training rows{', drawn at random' * (count < rows)}."


def baseline_predictions(
    head: TaskHead, train: Dataset, others: Sequence[Dataset], seed: int = 0
) -> dict[str, list[list[Any]]]:
    """The predictions of each baseline of the task, fitted to `train`, for each data set in `others`.

    They are of the type that `head.score` takes. The probabilities of a multi-label baseline are scores that only rank.
    """
    if len(train) > MOST_BASELINE_ROWS:
        log.info(baseline_rows_note(len(train)))
        train = _sample(train, MOST_BASELINE_ROWS)
    predictions = head.baselines(train, others, seed)
    return {name: _by_data_set(predicted, others) for name, predicted in predictions.items()}


def _by_data_set(predictions: Sequence[Any], data_sets: Sequence[Dataset]) -> list[list[Any]]:
    """The predictions of all rows, cut into those of each data set."""
    ends = np.cumsum([len(rows) for rows in data_sets]).tolist()
    return [list(predictions[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _sample(rows: Dataset, count: int) -> Dataset:
    """A random sample of `count` rows, always the same, in their order."""
    places = np.random.default_rng(0).choice(len(rows), count, replace=False)
    return rows.select(np.sort(places).tolist())
