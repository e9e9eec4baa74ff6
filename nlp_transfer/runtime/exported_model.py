"""An exported model, opened from its folder alone."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_transfer.data.length_batches import length_batches
from nlp_transfer.decoding import Decoder, decoder_from
from nlp_transfer.decoding.decoder import Columns, abstaining, require_threshold
from nlp_transfer.decoding.rejection import REJECTION_FILE, Rejection, decoded
from nlp_transfer.errors import ModelError
from nlp_transfer.runtime.export_files import NETWORK_FILE, TOKENIZER_FILE, read_description, require_intact
from nlp_transfer.runtime.processor import has_int8_products

if TYPE_CHECKING:
    import onnxruntime

    from nlp_transfer.data.long_texts import TextTokenizer

log = logging.getLogger(__name__)

_WINDOW = 4096  # texts that are tokenized and sorted by length together
_INSTALL = "pip install onnxruntime tokenizers numpy"


def load(folder: str | Path, *, form: str | None = None, threads: int | None = None, check: bool = True) -> Model:
    """Open an exported folder. Loads neither torch nor transformers.

    `form` is one of those that were kept (`model.metadata["forms"]`), by default the one that is to be taken.
    `threads` bounds those of the network, by default $OMP_NUM_THREADS or one a core. Unless `check` is False, the files
    are compared with their checksums. Raises ModelError for a folder that is no export, is damaged, or is of another
    version, for missing packages, and for a network that the installed onnxruntime cannot run.

    >>> nlp_transfer.runtime.load("runs/mine/exported").predict(["Is it?"])[0].label
    """
    folder = Path(folder)
    description = read_description(folder)
    forms: Mapping[str, str] = description["forms"]
    if form is not None and form not in forms:
        raise ModelError(f"{folder} was not exported as {form}; it holds {', '.join(forms)}.")
    network = NETWORK_FILE if form is None else forms[form]
    if check:
        others = {name for name in forms.values() if name != network}  # which are not opened
        require_intact(folder, {name: of for name, of in description["files"].items() if name not in others})
    decoder = decoder_from(description["decoder"])
    if (form or description["form"]) == "int8" and description["has_int8_products"] and not has_int8_products():
        log.warning(
            "%s was quantised for a processor with instructions for int8, which this one lacks: products may overflow "
            "here, and labels differ; export the run on such a machine.",
            folder,
        )
    try:
        from nlp_transfer.runtime.fast_tokenizer import FastTokenizer  # of a package that may be missing

        tokenizer = FastTokenizer(folder / TOKENIZER_FILE, **description["tokenizer"])
        session = _session(folder / network, threads, description)
    except ImportError as error:
        raise ModelError(f"opening an export needs the package {error.name}; {_INSTALL}") from error
    rejection = Rejection.load(folder / REJECTION_FILE) if description.get("rejection") else None
    return Model(description, decoder, tokenizer, session, rejection)


class Model:
    """An exported network with its tokenizer and its decoder; `load` opens it, and threads may share it.

    `task` is the name of its task, `labels` are its labels in the order of the network's outputs, and `metadata` is the
    content of runtime.json: scores, data fingerprint, versions, forms.
    """

    def __init__(
        self,
        description: dict[str, Any],
        decoder: Decoder,
        tokenizer: TextTokenizer,
        session: onnxruntime.InferenceSession,
        rejection: Rejection | None = None,
    ) -> None:
        self.metadata = description
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.task: str = description["task"]
        self.labels = decoder.labels
        self.max_length: int = description["max_length"]
        self._session = session
        self.rejection = rejection
        self._inputs = {one.name for one in session.get_inputs()}
        self._outputs = ["logits", *["states"] * (rejection is not None and rejection.reads_states)]

    def __repr__(self) -> str:
        count = len(self.labels)
        return f"Model({self.task}: {count:,} label{'s' * (count != 1)}, {self.metadata['form']})"

    def predict(self, texts: Sequence[Any], batch_size: int = 32, abstain_below: float | None = None) -> list[Any]:
        """A prediction for each text, in their order, as `TransferModel.predict` gives it.

        Texts are strings; a model of pairs takes pairs of strings, a NER model lists of words as well. Texts of similar
        length share a batch. Predictions whose `certainty` is less than `abstain_below` are marked as `abstained`.
        Raises OptionError for `abstain_below` where predictions have no confidence estimate; DataError for single texts
        if the model was trained on pairs, or the other way round.
        """
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts, not one text; write predict([text])")
        if abstain_below is not None:
            self.decoder.require_confidence()
            require_threshold(abstain_below)
        predictions: list[Any] = []
        for start in range(0, len(texts), _WINDOW):
            rows = self.decoder.columns_of(texts[start : start + _WINDOW])
            predictions += decoded(self.decoder, self.outputs(rows, batch_size), rows, self.rejection)
        return predictions if abstain_below is None else list(abstaining(predictions, abstain_below))

    def outputs(self, rows: Columns, batch_size: int = 32) -> list[np.ndarray]:
        """Logits of each row, `(items, labels)`, in row order; `rows` are columns (`decoder.columns_of`).

        Beside the logits stand the states that `rejection` reads, if it reads them.
        """
        features = self.decoder.encode(rows, self.tokenizer, self.max_length)
        ids = features["input_ids"]
        by_place: dict[int, np.ndarray] = {}
        for places in length_batches([len(tokens) for tokens in ids], batch_size):
            at = places.tolist()
            chosen = {name: [column[place] for place in at] for name, column in features.items()}
            outputs = self._session.run(self._outputs, self._batch(chosen))
            values = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
            by_place.update(zip(at, self.decoder.outputs(values, chosen), strict=True))
        by_row: list[list[np.ndarray]] = [[] for _ in range(max(features["row"], default=-1) + 1)]
        for place, row in enumerate(features["row"]):
            by_row[row].append(by_place[place])
        return [np.concatenate(parts) for parts in by_row]

    def batch(self, texts: Sequence[Any]) -> dict[str, np.ndarray]:
        """The inputs of the network for texts, all in one batch; long texts have several rows in it."""
        rows = self.decoder.columns_of(texts)
        return self._batch(self.decoder.encode(rows, self.tokenizer, self.max_length))

    def _batch(self, features: Columns) -> dict[str, np.ndarray]:
        """`input_ids`, `attention_mask` and token types where the network takes them, `(batch, longest)`."""
        ids = features["input_ids"]
        lengths = np.array([len(row) for row in ids])
        mask = np.arange(lengths.max()) < lengths[:, None]
        batch = {
            "input_ids": _padded(ids, mask, self.tokenizer.pad_token_id or 0),
            "attention_mask": mask.astype(np.int64),
        }
        if "token_type_ids" in features:
            batch["token_type_ids"] = _padded(features["token_type_ids"], mask, 0)
        return {name: values for name, values in batch.items() if name in self._inputs}


def _padded(rows: Sequence[Sequence[int]], mask: np.ndarray, value: int) -> np.ndarray:
    padded = np.full(mask.shape, value, np.int64)
    padded[mask] = [token for row in rows for token in row]
    return padded


def _session(path: Path, threads: int | None, description: Mapping[str, Any]) -> onnxruntime.InferenceSession:
    import onnxruntime  # a package that may be missing

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds, for operators that it lacks and for damaged files
        operator = re.search(r"No Op registered for (\w+)|implementation for (\w+)\(", str(error))
        reason = str(error).rpartition(" failed:")[2].strip()[:200]
        if operator:
            reason = f"it lacks the operator {operator[1] or operator[2]}"
        raise ModelError(
            f"onnxruntime {onnxruntime.__version__} cannot run {path}: {reason}; install the version that it was "
            f"exported with ({description['versions'].get('onnxruntime', 'unknown')}), or export the run again."
        ) from error
