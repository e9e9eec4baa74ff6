"""How good is the trained model, and does it beat what needs no transfer?"""

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
from nlp_transfer.data.read_rows import Rows
from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.tag_schemes import convert
from nlp_transfer.heads import MultiLabelHead, NERHead, RegressionHead, TaskHead
from nlp_transfer.heads.baselines import (
    classification_baselines,
    gazetteer_baseline,
    multi_label_baselines,
    regression_baselines,
)
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.types import MultiLabelPrediction, Prediction, RegressionPrediction, RunResult, Scores, TagPrediction

log = logging.getLogger(__name__)

MOST_BASELINE_ROWS = 100_000
"""Training rows that the baselines hold in memory at once: where there are more, they learn from so many of them."""

BASELINE_NAMES = {
    "majority": "majority label",
    "tfidf_svm": "TF-IDF + linear SVM",
    "mean": "mean of train",
    "tfidf_ridge": "TF-IDF + ridge",
    "gazetteer": "gazetteer of train",
}
_SHOWN = {
    "classification": ("accuracy", "macro_f1"),
    "multi_label": ("micro_f1", "macro_f1", "samples_f1", "hamming_loss", "lrap"),
    "regression": ("mse", "mae", "pearson", "spearman"),
    "sentiment": ("accuracy", "macro_f1", "mae_steps", "quadratic_kappa"),
    "ner": ("f1_strict", "precision_strict", "recall_strict", "f1_lenient"),
}


@dataclass(frozen=True)
class Report:
    """Scores of a trained model on each split.

    `split` names the one that is reported, of `rows` rows: test, or validation where there is no test split.
    `baselines`, `predictions`, `references` and `guesses`, what each baseline says of each row, are of that one, and so
    is `before`: of a tagger with a temperature the probabilities of each row's tags without it, `(words,)`.
    """

    task: str
    scores: Mapping[str, Scores]
    baselines: Mapping[str, Scores]
    predictions: Sequence[Any]
    references: Sequence[Any]
    split: str
    rows: int
    run: RunResult
    guesses: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    before: Sequence[np.ndarray] = ()

    def compared(self) -> tuple[Sequence[str], list[tuple[str, list[float]]]]:
        """The names of the task's main scores; and these scores of the model and of each baseline."""
        names = _SHOWN[self.task]
        lines = [("this model", self.scores[self.split])]
        lines += [(BASELINE_NAMES[name], scores) for name, scores in self.baselines.items()]
        return names, [(name, [scores[score] for score in names]) for name, scores in lines]

    def table(self) -> str:
        """The model beside the baselines, as plain text."""
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
) -> Report | None:
    """Score a trained model on validation and, once, on test. None on every process but the first.

    A network that trained as a whole is scored in fp32; one with frozen layers on what these give, kept as `cache`
    says, as in its training. The baselines are fitted on train and scored on test, or on validation where there is no
    test split.
    """
    scores = {}
    for name, rows in (("validation", splits.validation), ("test", splits.test)):
        if rows is None:
            continue
        outputs = outputs_on(rows, model, accelerator, batch_size, cache, name)
        if accelerator.is_main_process:
            columns = rows.data[:]
            scores[name] = model.head.evaluate(outputs, columns)
            predictions, references, split = model.head.decode(outputs, columns), model.head.references(columns), name
    if not accelerator.is_main_process:
        return None
    last = splits.test or splits.validation
    assert last is not None, "load_splits leaves one of them"
    asked = baseline_predictions(model.head, splits.train.data, [last.data])
    guesses = {name: said for name, (said,) in asked.items()}
    before: list[np.ndarray] = []
    if isinstance(model.head, NERHead) and model.head.temperature:
        # From the probability of one tag that without a temperature does not follow.
        plain = model.head.uncalibrated().decode(outputs, columns)
        before = [np.array(p.probabilities, np.float32) for p in plain]
    return Report(
        task=model.head.task,
        scores=scores,
        baselines={name: model.head.score(said, references) for name, said in guesses.items()},
        predictions=predictions,
        references=references,
        split=split,
        rows=len(references),
        run=run,
        guesses=guesses,
        before=before,
    )


def outputs_on(
    rows: Rows,
    model: TransferModel,
    accelerator: Accelerator,
    batch_size: int = 64,
    cache: CacheOptions | None = None,
    split: str = "test",
) -> list[np.ndarray]:
    """Logits of each row, `(items, labels)`, of a trained model, on every process; `split` is what the rows are."""
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


def baselines_saw(rows: int) -> str:
    """How many of so many training rows the baselines learned from, as a sentence."""
    count = min(rows, MOST_BASELINE_ROWS)
    return f"The baselines learned from {count:,} of the {rows:,} training rows{', drawn at random' * (count < rows)}."


def baseline_predictions(
    head: TaskHead, train: Dataset, asked: Sequence[Dataset], seed: int = 0
) -> dict[str, list[list[Any]]]:
    """What each baseline of the task, fitted to `train`, says of the rows of each data set in `asked`.

    The predictions are such as `head.score` takes. Of a multi-label baseline the probabilities only rank.
    """
    if len(train) > MOST_BASELINE_ROWS:
        log.info(baselines_saw(len(train)))
        train = _drawn(train, MOST_BASELINE_ROWS)
    if isinstance(head, NERHead):
        words = list(values(train, "words"))
        tags = [convert(sequence, head.scheme, "IOB2") for sequence in values(train, "tags")]
        sentences = [sentence for rows in asked for sentence in values(rows, "words")]
        found = gazetteer_baseline(words, tags, sentences, head.scheme)
        guesses = [TagPrediction(tuple(w), tuple(t), (), ()) for w, t in zip(sentences, found, strict=True)]
        return {"gazetteer": _parted(guesses, asked)}
    texts, labels = _texts(train), list(values(train, "label"))
    others = [text for rows in asked for text in _texts(rows)]
    named: dict[str, list[Any]]
    if isinstance(head, RegressionHead):
        numbers = regression_baselines(texts, labels, others, seed)
        named = {name: [RegressionPrediction(number) for number in found] for name, found in numbers.items()}
    elif isinstance(head, MultiLabelHead):
        names = head.labels.names
        named = {
            name: [
                MultiLabelPrediction(tuple(labels), dict(zip(names, ranks, strict=True)))
                for labels, ranks in zip(found, ranking.tolist(), strict=True)
            ]
            for name, (found, ranking) in multi_label_baselines(texts, labels, others, names, seed).items()
        }
    else:
        told = classification_baselines(texts, labels, others, seed)
        named = {name: [Prediction(label, 1.0, {}) for label in found] for name, found in told.items()}
    return {name: _parted(predictions, asked) for name, predictions in named.items()}


def _parted(predictions: Sequence[Any], asked: Sequence[Dataset]) -> list[list[Any]]:
    """Predictions of all rows as those of each data set."""
    ends = np.cumsum([len(rows) for rows in asked]).tolist()
    return [list(predictions[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _texts(rows: Dataset) -> list[str]:
    """The texts of rows; those of a pair as one text."""
    if "text_pair" not in rows.column_names:
        return list(values(rows, "text"))
    return [f"{text}\n{second}" for text, second in rows_of(rows, "text", "text_pair")]


def _drawn(rows: Dataset, count: int) -> Dataset:
    """So many of the rows, always the same ones, in their order."""
    places = np.random.default_rng(0).choice(len(rows), count, replace=False)
    return rows.select(np.sort(places).tolist())
