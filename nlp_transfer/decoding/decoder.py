"""The base class of decoders, and their registry: the part of a task that needs no network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from nlp_transfer.errors import ModelError, OptionError

if TYPE_CHECKING:
    from nlp_transfer.data.long_texts import TextTokenizer

Columns = Mapping[str, Sequence[Any]]
"""A batch of rows or features by column: {"text": [...], "label": [...]}."""

DECODERS: dict[str, type[Decoder]] = {}
"""Kind -> decoder; an exported network names its kind."""

_Kind = TypeVar("_Kind", bound="type[Decoder]")


@dataclass(frozen=True)
class Decoder(ABC):
    """What a task does before and after the network: texts become token ids, and logits become predictions.

    Heads have one (`TaskHead.decoder`), and so has an exported network, which is opened without torch. Its fields are
    plain JSON values: `decoder_from(decoder.spec())` is the same decoder.
    """

    kind: ClassVar[str]
    """The name in runtime.json and in `DECODERS`."""

    no_confidence: ClassVar[str | None] = None
    """Why a prediction has no confidence estimate, where it has none."""

    labels: tuple[str, ...]
    """The names of the logits."""

    pairs: bool = False
    """Whether a row has two texts."""

    def spec(self) -> dict[str, Any]:
        """Its kind and its fields, as plain JSON values."""
        return {"kind": self.kind, **asdict(self)}

    @abstractmethod
    def columns_of(self, texts: Sequence[Any]) -> dict[str, list[Any]]:
        """Texts to predict, as columns for `encode`. Raises DataError for a value that is not a text."""

    @abstractmethod
    def encode(self, rows: Columns, tokenizer: TextTokenizer, max_length: int) -> dict[str, list[Any]]:
        """Token ids of rows, as columns: `input_ids`, `row` (the index in `rows`) and what `outputs` needs.

        One row may have several features (windows of a long text).
        """

    @abstractmethod
    def outputs(self, logits: np.ndarray, features: Columns) -> list[np.ndarray]:
        """Logits of the predicted items, `(items, labels)` for each feature of a batch."""

    @abstractmethod
    def decode(self, outputs: Sequence[np.ndarray], rows: Columns) -> list[Any]:
        """A prediction for each row from its logits, `(items, labels)`."""

    def agreeing(self, predictions: Sequence[Any], others: Sequence[Any]) -> tuple[int, int]:
        """How many items, by default rows, have the same answer in both lists, and how many there are."""
        return sum(a.answer == b.answer for a, b in zip(predictions, others, strict=True)), len(others)

    def require_confidence(self) -> None:
        """Raise OptionError where predictions have no confidence estimate to abstain by."""
        if self.no_confidence:
            raise OptionError(f"--abstain_below needs one confidence for each row; {self.no_confidence}.")


def register_decoder(decoder: _Kind) -> _Kind:
    """Register a decoder under its kind, for exported networks that name it. A class decorator."""
    DECODERS[decoder.kind] = decoder
    return decoder


def decoder_from(spec: Mapping[str, Any]) -> Decoder:
    """The decoder of what `Decoder.spec` returned. Raises ModelError for a kind or a field that is not known."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items()}
    kind = fields.pop("kind", None)
    if kind not in DECODERS:
        raise ModelError(f"the export decodes '{kind}', which this version cannot (it knows {', '.join(DECODERS)}).")
    try:
        return DECODERS[kind](**fields)
    except TypeError as error:
        raise ModelError(f"the export's '{kind}' decoder has other fields than this version's: {error}.") from error


def abstaining(predictions: Iterable[Any], below: float) -> Iterator[Any]:
    """Predictions, those whose `certainty` is less than `below` marked as `abstained`."""
    return (replace(prediction, abstained=prediction.certainty < below) for prediction in predictions)


def require_threshold(abstain_below: float) -> None:
    """Raise OptionError for a certainty that no threshold can have."""
    if not 0 < abstain_below <= 1:
        raise OptionError(f"abstain_below must be more than 0, and 1 at most; got {abstain_below}.")
