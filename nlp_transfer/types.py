"""Plain values that the rooms exchange: label sets, spans, predictions, scores, results of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nlp_transfer.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

IGNORED = -100
"""The label id of a token or row that is not scored, as everywhere in transformers."""

_DIGITS = 6  # of a probability in a file of predictions

Scores = dict[str, Any]
"""Metric name -> number, or -> {label: number} for metrics of each class or entity type."""


@dataclass(frozen=True, init=False)
class LabelSet:
    """The labels of a task; a label's index in `names` is its id in the network.

    >>> LabelSet(("no", "yes")).id("yes")
    1
    """

    names: tuple[str, ...]
    _ids: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __init__(self, names: Iterable[str]) -> None:
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "_ids", {name: i for i, name in enumerate(self.names)})
        if len(self._ids) != len(self.names):
            raise ValueError(f"label names repeat: {', '.join(self.names)}")

    def id(self, name: str) -> int:
        """The id of `name`. Raises DataError if it is not in the set."""
        if name not in self._ids:
            raise DataError(f"the data has a label '{name}' that the head lacks; its labels are {', '.join(self)}.")
        return self._ids[name]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids


@dataclass(frozen=True)
class Span:
    """An entity in a text: characters `start` to `end` (end excluded), and the score of the model."""

    type: str
    text: str
    start: int
    end: int
    score: float = 1.0


class AnyPrediction(Protocol):
    """The interface of the predictions of all heads; a new kind of head may bring its own class."""

    @property
    def answer(self) -> Any:
        """The part that is scored: the label, the labels, the tags or the number."""

    def record(self, row: int, gold: Any) -> dict[str, Any]:
        """The line of predictions.jsonl of a row, as plain JSON values, with `row`, `gold` and `predicted`."""

    @classmethod
    def from_record(cls, line: Mapping[str, Any]) -> Any:
        """The prediction of a line of `record`, as far as scores need it."""

    def output(self, *, all_probabilities: bool, abstains: bool) -> dict[str, Any]:
        """The columns in a file of `predict_file`, as plain JSON values; with `abstains` also those of abstention."""

    @classmethod
    def output_schema(cls, labels: Iterable[str], *, all_probabilities: bool, abstains: bool) -> dict[str, pa.DataType]:
        """The Arrow types of the columns of `output`, for a head with these labels."""


@dataclass(frozen=True)
class Prediction:
    """A classifier's prediction for one text: the label, its probability, and the probability of every label.

    Where it `abstained`, the label is the best guess, and not to be relied on. `known` is False for a text unlike
    anything in training, and None where the model was not trained to tell (`--reject`).
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]
    abstained: bool = field(default=False, kw_only=True)
    known: bool | None = field(default=None, kw_only=True)

    @property
    def certainty(self) -> float:
        """The predicted probability that it is right."""
        return self.probability

    @property
    def answer(self) -> str:
        """The label."""
        return self.label

    def record(self, row: int, gold: str) -> dict[str, Any]:
        """The line of predictions.jsonl."""
        return {"row": row, "gold": gold, "predicted": self.label, "probability": self.probability}

    @classmethod
    def from_record(cls, line: Mapping[str, Any]) -> Prediction:
        """The label and its probability."""
        return Prediction(line["predicted"], line["probability"], {})

    def output(self, *, all_probabilities: bool, abstains: bool) -> dict[str, Any]:
        """The columns in a file of predictions."""
        probability = round(self.probability, _DIGITS)
        columns = _with_abstention("label", self.label, probability, self.abstained if abstains else None)
        columns |= {} if self.known is None else {"known": self.known}
        return columns | self._more_output() | _probabilities(self.probabilities, all_probabilities)

    def _more_output(self) -> dict[str, Any]:
        """Columns between the label and the probabilities of all labels."""
        return {}

    @classmethod
    def output_schema(cls, labels: Iterable[str], *, all_probabilities: bool, abstains: bool) -> dict[str, pa.DataType]:
        """The Arrow types of the columns of `output`."""
        import pyarrow as pa  # heavy, and only Parquet and Arrow files need it

        schema = _schema_with_abstention("label", pa.string(), pa.float64(), abstains)
        return schema | cls._more_schema() | _probabilities_schema(labels, all_probabilities)

    @classmethod
    def _more_schema(cls) -> dict[str, pa.DataType]:
        return {}


@dataclass(frozen=True)
class SentimentPrediction(Prediction):
    """A classifier's prediction on an ordered scale; `polarity` in [-1, 1] is the expected place on the scale."""

    polarity: float

    def record(self, row: int, gold: str) -> dict[str, Any]:
        """The line of predictions.jsonl."""
        return super().record(row, gold) | {"polarity": self.polarity}

    def _more_output(self) -> dict[str, Any]:
        return {"polarity": round(self.polarity, _DIGITS)}

    @classmethod
    def _more_schema(cls) -> dict[str, pa.DataType]:
        import pyarrow as pa

        return {"polarity": pa.float64()}


@dataclass(frozen=True)
class MultiLabelPrediction:
    """The predicted labels of a text, maybe none, in the order of their ids, and the probability of every label.

    Where it `abstained`, the labels are the best guess, and not to be relied on.
    """

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    abstained: bool = field(default=False, kw_only=True)

    @property
    def certainty(self) -> float:
        """The predicted probability that the most uncertain label is right, be it present or absent."""
        return min(p if name in self.labels else 1 - p for name, p in self.probabilities.items())

    @property
    def answer(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def record(self, row: int, gold: Sequence[str]) -> dict[str, Any]:
        """The line of predictions.jsonl, with the probabilities of the predicted labels."""
        probabilities = [self.probabilities[name] for name in self.labels]
        return {"row": row, "gold": gold, "predicted": self.labels, "probability": probabilities}

    @classmethod
    def from_record(cls, line: Mapping[str, Any]) -> MultiLabelPrediction:
        """The labels, and the probabilities of all labels if the line has them."""
        return MultiLabelPrediction(tuple(line["predicted"]), line.get("probabilities", {}))

    def output(self, *, all_probabilities: bool, abstains: bool) -> dict[str, Any]:
        """The columns in a file of predictions."""
        each = [round(self.probabilities[name], _DIGITS) for name in self.labels]
        columns = _with_abstention("labels", list(self.labels), each, self.abstained if abstains else None)
        return columns | _probabilities(self.probabilities, all_probabilities)

    @classmethod
    def output_schema(cls, labels: Iterable[str], *, all_probabilities: bool, abstains: bool) -> dict[str, pa.DataType]:
        """The Arrow types of the columns of `output`."""
        import pyarrow as pa

        schema = _schema_with_abstention("labels", pa.list_(pa.string()), pa.list_(pa.float64()), abstains)
        return schema | _probabilities_schema(labels, all_probabilities)


@dataclass(frozen=True)
class RegressionPrediction:
    """The predicted number of a text, or of a pair of texts."""

    value: float

    @property
    def answer(self) -> float:
        """The number."""
        return self.value

    def record(self, row: int, gold: float) -> dict[str, Any]:
        """The line of predictions.jsonl."""
        return {"row": row, "gold": gold, "predicted": self.value}

    @classmethod
    def from_record(cls, line: Mapping[str, Any]) -> RegressionPrediction:
        """The number."""
        return RegressionPrediction(line["predicted"])

    def output(self, *, all_probabilities: bool, abstains: bool) -> dict[str, Any]:
        """The column in a file of predictions."""
        return {"value": self.value}

    @classmethod
    def output_schema(cls, labels: Iterable[str], *, all_probabilities: bool, abstains: bool) -> dict[str, pa.DataType]:
        """The Arrow type of the column of `output`."""
        import pyarrow as pa

        return {"value": pa.float64()}


@dataclass(frozen=True)
class TagPrediction:
    """A tagger's prediction for one text: a tag and its probability for every word, and the entities of the tags."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    spans: tuple[Span, ...]

    @property
    def answer(self) -> tuple[str, ...]:
        """The tags."""
        return self.tags

    def record(self, row: int, gold: Sequence[str]) -> dict[str, Any]:
        """The line of predictions.jsonl."""
        return {
            "row": row,
            "words": self.words,
            "gold": gold,
            "predicted": self.tags,
            "probability": self.probabilities,
            "spans": [asdict(span) for span in self.spans],
        }

    @classmethod
    def from_record(cls, line: Mapping[str, Any]) -> TagPrediction:
        """The words and their tags."""
        return TagPrediction(tuple(line["words"]), tuple(line["predicted"]), (), ())

    def output(self, *, all_probabilities: bool, abstains: bool) -> dict[str, Any]:
        """The columns in a file of predictions."""
        return {
            "spans": [asdict(span) | {"score": round(span.score, _DIGITS)} for span in self.spans],
            "words": list(self.words),
            "tags": list(self.tags),
            "probability": [round(p, _DIGITS) for p in self.probabilities],
        }

    @classmethod
    def output_schema(cls, labels: Iterable[str], *, all_probabilities: bool, abstains: bool) -> dict[str, pa.DataType]:
        """The Arrow types of the columns of `output`."""
        import pyarrow as pa

        ends = {"type": pa.string(), "text": pa.string(), "start": pa.int64(), "end": pa.int64()}
        span = pa.struct(list((ends | {"score": pa.float64()}).items()))
        words = {"words": pa.list_(pa.string()), "tags": pa.list_(pa.string())}
        return {"spans": pa.list_(span)} | words | {"probability": pa.list_(pa.float64())}


def _with_abstention(name: str, answer: Any, probability: Any, abstained: bool | None) -> dict[str, Any]:
    """The answer and its probability; if it may abstain, also whether it did, and the best guess in any case."""
    if abstained is None:
        return {name: answer, "probability": probability}
    return {name: None if abstained else answer, "probability": probability, "abstained": abstained,
            "best_guess": answer}  # fmt: skip


def _schema_with_abstention(
    name: str, answer: pa.DataType, probability: pa.DataType, abstains: bool
) -> dict[str, pa.DataType]:
    import pyarrow as pa

    more = {"abstained": pa.bool_(), "best_guess": answer} if abstains else {}
    return {name: answer, "probability": probability} | more


def _probabilities(probabilities: Mapping[str, float], are_wanted: bool) -> dict[str, Any]:
    return {"probabilities": {name: round(p, _DIGITS) for name, p in probabilities.items()}} if are_wanted else {}


def _probabilities_schema(labels: Iterable[str], are_wanted: bool) -> dict[str, pa.DataType]:
    import pyarrow as pa

    return {"probabilities": pa.struct([(name, pa.float64()) for name in labels])} if are_wanted else {}


@dataclass(frozen=True)
class RunResult:
    """The result of a training run: the best validation score and its epoch, its cost, and its history.

    `best_score` and `best_epoch` are None if there were no validation rows, so that the last weights were kept. `seed`
    is that of the last attempt, after `restarts` because of a collapse; all but `seconds` is of that attempt.
    `seconds_spared` is the time it took other runs to compute the cached activations that this one reused, less its
    wait for them; 0 if it was resumed. `options` are the TrainingOptions with a value for each that was left open.
    `label_free` is what a run without labels expects of itself: its accuracy, and that of chance.
    """

    metric: str
    best_score: float | None
    best_epoch: float | None
    steps: int
    seconds: float
    rows_per_second: float
    trained_weights: int = 0
    history: tuple[Mapping[str, float], ...] = ()
    seed: int = 0
    restarts: int = 0
    seconds_spared: float = 0.0
    options: Any = None
    label_free: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        score = (
            "" if self.best_score is None else f"{self.metric} {self.best_score:.4g} at epoch {self.best_epoch:.3g}, "
        )
        seconds = f"{self.seconds:.1f}" if self.seconds < 10 else f"{self.seconds:,.0f}"
        return f"RunResult({score}{self.steps:,} step{'s' * (self.steps != 1)}, {seconds} s)"
