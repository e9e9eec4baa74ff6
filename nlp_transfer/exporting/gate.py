"""The comparison of an exported form with the run: logits, labels and score on the same rows, and what may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.decoding.rejection import decoded
from nlp_transfer.errors import ModelError
from nlp_transfer.exporting.quantization import Layer, layer_errors, layers_of, quantize
from nlp_transfer.models.inference import infer
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.reference_rows import ReferenceRows
from nlp_transfer.runtime import Model

_MOST_KEPT = 0.5
"""The share of the layers that may stay in fp32: with more of them int8 gains nothing."""


@dataclass(frozen=True)
class Budget:
    """What a form may lose: `points` of the score, and `agreement` percent of the labels must be those of the run."""

    points: float
    agreement: float


@dataclass(frozen=True)
class Answers:
    """What a form, or the run itself, answered on the reference rows: logits of each row, predictions, and a score.

    `known` is whether each text is known, and empty where that is not told.
    """

    logits: Sequence[np.ndarray]
    predictions: Sequence[Any]
    score: float
    known: Sequence[bool] = ()


@dataclass(frozen=True)
class Comparison:
    """A form beside the run: its score, the percent of labels that agree, and the differences of the logits.

    `known_agreement` is the percent of texts that both mark as known, or both as unknown.
    """

    score: float
    score_of_run: float
    agreement: float
    mean_difference: float
    largest_difference: float
    known_agreement: float = 100.0

    def fault(self, budget: Budget) -> str:
        """What is over the budget, in words; empty where nothing is."""
        lost = 0.0 if np.isnan(self.score_of_run) else 100 * (self.score_of_run - self.score)
        if not self.agreement >= budget.agreement:
            return f"{self.agreement:.1f}% of labels agree with the run's, and {budget.agreement:g}% must"
        if not self.known_agreement >= budget.agreement:
            return f"{self.known_agreement:.1f}% of texts are known as by the run, and {budget.agreement:g}% must be"
        if not lost <= budget.points + 1e-9:  # true of NaN as well
            return f"it loses {lost:.2f} points of the score, and may lose {budget.points:g}"
        return ""


class Gate:
    """The answers of the run to the reference rows, with which every form is compared."""

    def __init__(self, model: TransferModel, rows: ReferenceRows) -> None:
        self.head = model.head
        self.rows = rows
        self.metric = model.head.choice_metric
        self._model = model
        self._columns = model.head.columns_of(rows.texts)
        features = model.head.encode(self._columns, model.tokenizer, model.max_length)
        self._inputs = TokenInputs(Dataset.from_dict(features), model.pad_id)
        self._run = self._answers(self._outputs("no"))

    @property
    def score(self) -> float:
        """The score of the run on the rows."""
        return self._run.score

    def compare(self, form: Model) -> Comparison:
        """How a form answers the rows."""
        return self._compared(form.outputs(form.decoder.columns_of(self.rows.texts)))

    def compare_run(self, precision: str) -> Comparison:
        """How the run answers the rows in another precision."""
        return self._compared(self._outputs(precision))

    def _outputs(self, precision: str) -> list[np.ndarray]:
        rejection = self._model.rejection
        states = rejection is not None and rejection.reads_states
        return infer(self._model.network, self.head, self._inputs, precision=precision, with_states=states)

    def _compared(self, outputs: Sequence[np.ndarray]) -> Comparison:
        answers = self._answers(outputs)
        decoder = self.head.decoder()
        assert decoder is not None, "require_network has seen to that"
        same, items = decoder.agreeing(answers.predictions, self._run.predictions)
        differences = [np.abs(a - b) for a, b in zip(answers.logits, self._run.logits, strict=True) if a.size]
        joined = np.concatenate([one.ravel() for one in differences]) if differences else np.zeros(1)
        return Comparison(
            score=answers.score,
            score_of_run=self._run.score,
            agreement=100 * same / max(items, 1),
            mean_difference=float(joined.mean()),
            largest_difference=float(joined.max()),
            known_agreement=100 * float(np.mean(np.equal(answers.known, self._run.known))) if answers.known else 100.0,
        )

    def _answers(self, outputs: Sequence[np.ndarray]) -> Answers:
        predictions = decoded(self.head, outputs, self._columns, self._model.rejection)
        known = [one.known for one in predictions] if self._model.rejection else []
        logits = [one[:, : len(self.head.labels)] for one in outputs]
        score = float(self.head.score(predictions, self.rows.references)[self.metric])
        return Answers(logits, predictions, score, known)


@dataclass(frozen=True)
class Quantized:
    """The int8 form that fits the budget: the layers that stay in fp32, of how many, and how it compares.

    Where none fits, `refusal` says so, and which layer is the most fragile.
    """

    kept: Sequence[Layer]
    layers: int
    comparison: Comparison
    refusal: str = ""


def quantize_within(
    budget: Budget,
    source: Path,
    target: Path,
    compare: Callable[[], Comparison],
    batch: dict[str, np.ndarray],
    reduce_range: bool,
) -> Quantized:
    """Write `source` in int8 to `target`, with as few layers in fp32 as the budget allows.

    Layers are kept in the order of what each loses by itself (`layer_errors`, on `batch`): one, two, four and so on
    until the form fits, and then fewer, by bisection. It is refused where half of the layers are not enough.
    """
    layers = layers_of(source)
    if not layers:
        raise ModelError(f"{source} has no layer that int8 applies to; export it as fp32 alone (--forms fp32).")

    def attempt(count: int) -> Quantized:
        kept = fragile[:count]
        quantize(source, target, kept, reduce_range)
        return Quantized(kept, len(layers), compare())

    fragile: list[Layer] = []
    quantized = attempt(0)
    if not quantized.comparison.fault(budget):
        return quantized
    errors = layer_errors(source, layers, batch, reduce_range)
    fragile = sorted(layers, key=lambda layer: errors[layer], reverse=True)
    most = max(1, int(_MOST_KEPT * len(layers)))
    failed, count = 0, 1
    while (quantized := attempt(count)).comparison.fault(budget):
        if count == most:
            worst = fragile[0]
            refusal = (
                f"with {count} of {len(layers)} layers in fp32 {quantized.comparison.fault(budget)}; the most fragile "
                f"layer is {worst.name}, which loses {errors[worst]:.0%} of its output"
            )
            return Quantized(quantized.kept, len(layers), quantized.comparison, refusal)
        failed, count = count, min(2 * count, most)
    fitting = quantized
    while count - failed > 1:
        middle = (failed + count) // 2
        quantized = attempt(middle)
        if quantized.comparison.fault(budget):
            failed = middle
        else:
            count, fitting = middle, quantized
    if len(quantized.kept) != len(fitting.kept):
        quantize(source, target, fitting.kept, reduce_range)
    return fitting
