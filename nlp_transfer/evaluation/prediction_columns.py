"""The columns that predictions become: in a file of predictions, in a batch of `Scorer`, in an answer of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa  # type: ignore[import-untyped]

from nlp_transfer.errors import OptionError
from nlp_transfer.types import AnyPrediction


class Predicts(Protocol):
    """What the columns depend on: a task head, or a `Predictor`."""

    @property
    def labels(self) -> Iterable[str]:
        """The labels, in the order of their ids."""

    @property
    def prediction(self) -> type[AnyPrediction]:
        """The class of the predictions."""

    @property
    def no_probabilities(self) -> str | None:
        """Why there are no probabilities of all labels, where there are none."""

    @property
    def pairs(self) -> bool:
        """Whether a row has two texts."""

    @property
    def require_confidence(self) -> Callable[[], None]:
        """Raises OptionError where predictions have no confidence estimate to abstain by."""


@dataclass(frozen=True)
class PredictionColumns:
    """The columns of predictions of one class, with the probabilities of all labels, or with those of abstention.

    `marks_known` says whether the model marks texts that are unlike those of its training.
    """

    prediction: type[AnyPrediction]
    labels: tuple[str, ...]
    all_probabilities: bool = False
    abstains: bool = False
    marks_known: bool = False

    @classmethod
    def of(
        cls, model: Predicts, *, all_probabilities: bool, abstain_below: float | None, marks_known: bool = False
    ) -> PredictionColumns:
        """The columns of a model's predictions. Raises OptionError for what its predictions do not have."""
        if abstain_below is not None:
            model.require_confidence()
        if all_probabilities and model.no_probabilities:
            raise OptionError(f"--all_probabilities is for classifiers; {model.no_probabilities}.")
        return cls(model.prediction, tuple(model.labels), all_probabilities, abstain_below is not None, marks_known)

    def row(self, prediction: AnyPrediction) -> dict[str, Any]:
        """The values of a prediction by column, as plain JSON values."""
        return prediction.output(all_probabilities=self.all_probabilities, abstains=self.abstains)

    def schema(self) -> dict[str, pa.DataType]:
        """The Arrow types of the columns."""
        columns = self.prediction.output_schema(
            self.labels, all_probabilities=self.all_probabilities, abstains=self.abstains
        )
        return columns | ({"known": pa.bool_()} if self.marks_known else {})


def require_as_many_texts(model: Predicts, text_pair_column_name: str | None) -> None:
    """OptionError where a second text is named for a model of single texts, or none for a model of pairs."""
    if model.pairs and not text_pair_column_name:
        raise OptionError(
            "this model was trained on pairs of texts; name the second ones with --text_pair_column_name."
        )
    if text_pair_column_name and not model.pairs:
        raise OptionError("this model was trained on single texts; leave --text_pair_column_name out.")
