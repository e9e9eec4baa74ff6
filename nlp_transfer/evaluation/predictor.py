"""A trained model that predicts, be it the folder of a run or an exported one: what scoring and serving ask of it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nlp_transfer.config.remembered_options import remembered_options
from nlp_transfer.errors import ModelError, OptionError
from nlp_transfer.types import AnyPrediction, TagPrediction

_EXPORTED = "runtime.json"
_MARKS = (_EXPORTED, "config.json", "model/config.json")
_HALVES = ("bf16", "fp16")
_TOLD = ("scores", "versions", "calibration", "encoder")


@dataclass(frozen=True)
class ModelSource:
    """A model to predict with, and how: `path` is the folder of a run, an exported folder, or a hub id.

    `precision`, `calibrated` and `max_length` are those of `TransferModel.predict` and `load`; an exported model has
    them in it.
    """

    path: str
    precision: str = "auto"
    calibrated: bool = True
    max_length: int | None = None
    trust_remote_code: bool = False

    @property
    def is_exported(self) -> bool:
        """Whether the folder was written by an export."""
        return (Path(self.path) / _EXPORTED).is_file()

    def state(self) -> tuple[Any, ...]:
        """What changes when the model is written anew: names, sizes and times of its files."""
        folder = Path(self.path)
        inner = folder / "model"
        files = (path for home in (folder, inner) if home.is_dir() for path in home.iterdir() if path.is_file())
        return tuple(sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))

    def require_there(self) -> None:
        """ModelError for a folder that holds no model; what is no folder may be a hub id."""
        folder = Path(self.path)
        if folder.is_dir() and not any((folder / name).is_file() for name in _MARKS):
            raise ModelError(
                f"{self.path} is no run: it holds neither model/ nor {_EXPORTED}; name the folder that a training "
                "recipe wrote, or an exported one."
            )
        if folder.is_file():
            raise ModelError(f"{self.path} is a file; name the folder of a run, or an exported one.")

    def open(self, threads: int | None = None) -> Predictor:
        """Load the model; an exported one computes with `threads`. Raises ModelError and OptionError."""
        return _Exported(self, threads) if self.is_exported else _Trained(self)


class Predictor(Protocol):
    """A loaded model.

    `prediction` is the class of what it predicts, `labels_words` whether that is a label for each word, so that lists
    of words are predicted as well; the other attributes are those of `TaskHead`.
    """

    form: str
    """What computes: torch or onnxruntime, ..., and in which precision."""

    task: str
    labels: Sequence[str]
    prediction: type[AnyPrediction]
    labels_words: bool
    pairs: bool
    require_confidence: Callable[[], None]
    no_probabilities: str | None
    marks_known: bool
    """Whether it marks texts that are unlike those of its training."""

    max_length: int | None
    remembered: Mapping[str, Any]
    """The options by which the run has read its rows."""

    def predict(self, texts: Sequence[Any], batch_size: int) -> list[Any]:
        """A prediction for each text, in their order; DataError for what is no text."""

    def about(self) -> dict[str, Any]:
        """Scores, data and versions of the run, as plain JSON values, as far as they are known."""


class _Trained(Predictor):
    def __init__(self, source: ModelSource) -> None:
        # they load torch, which an exported model does without
        from nlp_transfer.encoders.precision import cast_once, precision_for
        from nlp_transfer.models.transfer_model import TransferModel

        source.require_there()
        self._model = TransferModel.load(
            source.path, max_length=source.max_length, trust_remote_code=source.trust_remote_code
        )
        head = self._model.head
        self._source, self._precision = source, precision_for(self._model.encoder.family, source.precision)
        self._cast = cast_once(self._model.network.modules(), self._precision)
        self._cast.__enter__()  # for good, as each call of predict would cast the weights anew
        self.form = "torch, " + (self._precision if self._precision in _HALVES else "fp32")
        self.task, self.labels, self.prediction = head.task, tuple(head.labels), head.prediction
        self.labels_words, self.pairs = head.labels_words, head.pairs
        self.require_confidence, self.no_probabilities = head.require_confidence, head.no_probabilities
        self.marks_known = getattr(self._model, "rejection", None) is not None
        self.max_length, self.remembered = self._model.max_length, remembered_options(source.path)

    def predict(self, texts: Sequence[Any], batch_size: int) -> list[Any]:
        return self._model.predict(texts, batch_size, self._precision, self._source.calibrated)

    def about(self) -> dict[str, Any]:
        folder = Path(self._source.path)
        return _about(next((home for home in (folder, folder.parent) if (home / "transfer.json").is_file()), folder))


class _Exported(Predictor):
    def __init__(self, source: ModelSource, threads: int | None) -> None:
        if not source.calibrated:
            raise OptionError(f"{source.path}: an exported model keeps its calibration; name the run to go without.")
        if source.max_length is not None:
            raise OptionError(f"{source.path}: an exported model keeps its max_length; export it again with another.")
        try:
            runtime = importlib.import_module("nlp_transfer.runtime")  # it loads onnxruntime
        except ImportError as error:
            raise OptionError(
                f"{source.path}: an exported model needs {error.name}, not installed here; install with: "
                'pip install "nlp-transfer[export]"'
            ) from error
        self._model = runtime.load(source.path, threads=threads)
        self.metadata, decoder = self._model.metadata, self._model.decoder
        self.task, self.labels, self.pairs = self._model.task, tuple(self._model.labels), decoder.pairs
        self.form = f"onnxruntime, {self.metadata['form']}"
        self.require_confidence, self.remembered = decoder.require_confidence, {}
        self.max_length = self._model.max_length
        (sample,) = self.predict([["a", "b"] if self.pairs else "a"], 1)
        self.prediction, self.labels_words = type(sample), isinstance(sample, TagPrediction)
        self.marks_known = getattr(sample, "known", None) is not None
        has_all = "probabilities" in sample.output(all_probabilities=True, abstains=False)
        self.no_probabilities = None if has_all else "this model gives none of all labels"

    def predict(self, texts: Sequence[Any], batch_size: int) -> list[Any]:
        return list(self._model.predict(texts, batch_size=batch_size))

    def about(self) -> dict[str, Any]:
        return _known(self.metadata)


def _about(folder: Path) -> dict[str, Any]:
    """What transfer.json says of a run, without its rows."""
    path = folder / "transfer.json"
    if not path.is_file():
        return {}
    try:
        transfer = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}.") from error
    return _known(transfer)


def _known(told: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is told of a run, the part that anybody may know who may ask the model: no file names."""
    data = {
        name: {key: rows[key] for key in ("rows", "sha256") if key in rows}
        for name, rows in (told.get("data") or {}).items()
        if isinstance(rows, Mapping)
    }
    return {name: told[name] for name in _TOLD if name in told} | {"data": data}
