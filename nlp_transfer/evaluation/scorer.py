"""A trained model as a function of columns that other engines carry to their workers."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from nlp_transfer.data.prediction_rows import usable_text, wanted_columns
from nlp_transfer.data.readers.cells import WrongKind
from nlp_transfer.data.readers.columns import choose_column
from nlp_transfer.data.readers.records import Table
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.evaluation.prediction_columns import PredictionColumns, require_as_many_texts
from nlp_transfer.evaluation.predictor import ModelSource, Predictor

_loaded: dict[tuple[Any, ...], Predictor] = {}
_in_use = threading.RLock()
"""Held while a model is loaded or computes: the number of threads is that of the whole process."""


class Scorer:
    """A trained model that adds its predictions to columns, by the names that recipes/predict.py writes.

    >>> scorer = Scorer("runs/classify")
    >>> scorer({"id": [7], "text": ["The bin was not emptied."]})["label"]
    ['waste_collection']

    It pickles as the path of the model and its options, which must exist where it is used: the model is loaded at the
    first batch, once in a process however many scorers there are, and computes there with `threads` threads. The same
    batch gives the same predictions; in fp32 (`precision="no"`) a row has the probability that it has in any other
    batch, within 1e-6, while in bf16 the last digits depend on the texts beside it.

    Args:
        run_or_exported: the folder of a run, an exported folder, or a hub id.
        text_column_name, text_pair_column_name: by default the columns of the training, or those with usual names.
        all_probabilities, calibrated, abstain_below, batch_size, precision, max_length: as in `TransferModel.predict`.
        skip_bad_rows: a row that has no text gets no prediction (None in each column) instead of a DataError.
        prefix: stands before the name of each new column, for rows that have a column `label` already.
        threads: of a processor; engines start a worker for each core.
    """

    def __init__(
        self,
        run_or_exported: str | os.PathLike[str],
        *,
        text_column_name: str | None = None,
        text_pair_column_name: str | None = None,
        all_probabilities: bool = False,
        calibrated: bool = True,
        abstain_below: float | None = None,
        batch_size: int = 32,
        precision: str = "auto",
        max_length: int | None = None,
        skip_bad_rows: bool = False,
        prefix: str = "",
        threads: int = 1,
        trust_remote_code: bool = False,
    ) -> None:
        if abstain_below is not None and not 0 < abstain_below <= 1:
            raise OptionError(f"abstain_below must be more than 0, and 1 at most; got {abstain_below}.")
        for name, number in (("batch_size", batch_size), ("threads", threads)):
            if number < 1:
                raise OptionError(f"{name} must be more than 0; got {number}.")
        self.source = ModelSource(os.fspath(run_or_exported), precision, calibrated, max_length, trust_remote_code)
        self.text_column_name = text_column_name
        self.text_pair_column_name = text_pair_column_name
        self.all_probabilities = all_probabilities
        self.abstain_below = abstain_below
        self.batch_size = batch_size
        self.skip_bad_rows = skip_bad_rows
        self.prefix = prefix
        self.threads = threads

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """The columns and those of the predictions, `(rows,)` each.

        Raises DataError for a missing column, for one that a prediction would overwrite and for a row without a text,
        OptionError for what the model cannot do, and ModelError where there is none.
        """
        names = tuple(columns)
        text, pair = self._text_columns(names)
        values = [_listed(columns[name]) for name in (text, pair) if name]
        predicted = self._rows(names, text, pair, *values)
        added = list(self._columns.schema())
        return {**columns} | {
            f"{self.prefix}{name}": [None if row is None else row[name] for row in predicted] for name in added
        }

    def table(self, rows: pa.Table) -> pa.Table:
        """An Arrow table of rows, and the columns of their predictions in the types that recipes/predict.py writes."""
        text, pair = self._text_columns(tuple(rows.column_names))
        values = [rows.column(name).to_pylist() for name in (text, pair) if name]
        predicted = self._rows(tuple(rows.column_names), text, pair, *values)
        for field in self.schema():
            name = field.name[len(self.prefix) :]
            cells = pa.array([None if row is None else row[name] for row in predicted], field.type)
            rows = rows.append_column(field, cells)
        return rows

    def schema(self) -> pa.Schema:
        """The Arrow types of the columns that are added. Loads the model."""
        return pa.schema([(f"{self.prefix}{name}", kind) for name, kind in self._columns.schema().items()])

    @property
    def predictor(self) -> Predictor:
        """The model, loaded once in this process for all scorers of the same files and options."""
        key = (os.getpid(), self.source, self.source.state(), self.threads)
        with _in_use:
            if key not in _loaded:
                # What tokenizes texts starts as many threads as there are cores otherwise. It reads this once.
                os.environ.setdefault("RAYON_NUM_THREADS", str(self.threads))
                with self._threads():
                    model = self.source.open(self.threads)
                for other in [other for other in _loaded if other[:2] == key[:2]]:
                    del _loaded[other]  # the files were written anew, and nobody will ask for the old ones
                _loaded[key] = model
            return _loaded[key]

    @property
    def _columns(self) -> PredictionColumns:
        model = self.predictor
        return PredictionColumns.of(
            model,
            all_probabilities=self.all_probabilities,
            abstain_below=self.abstain_below,
            marks_known=model.marks_known,
        )

    def _text_columns(self, names: tuple[str, ...]) -> tuple[str, str | None]:
        """The column of the text, and of the second text where the model takes pairs."""
        model = self.predictor
        given = {"text_column_name": self.text_column_name, "text_pair_column_name": self.text_pair_column_name}
        for name, remembered in model.remembered.items():
            if name in given and given[name] is None and remembered in names:
                given[name] = remembered
        require_as_many_texts(model, given["text_pair_column_name"])
        table = Table(names, lambda wanted: iter(()))
        text, pair = wanted_columns(model.labels_words)
        first = choose_column("the batch", table, text, given["text_column_name"])
        second = given["text_pair_column_name"]
        return first, choose_column("the batch", table, pair, second) if second else None

    def _rows(
        self, names: tuple[str, ...], text: str, pair: str | None, values: list[Any], seconds: list[Any] | None = None
    ) -> list[dict[str, Any] | None]:
        """The prediction of each row by column; None for one without a text."""
        columns, model = self._columns, self.predictor
        there = [f"{self.prefix}{name}" for name in columns.schema() if f"{self.prefix}{name}" in names]
        if there:
            raise DataError(
                f"the rows have a column '{there[0]}' already, which the predictions would replace; leave it out, or "
                f"give the new columns a prefix, such as predicted_."
            )
        texts: dict[int, Any] = {}
        for row, value in enumerate(values):
            try:
                second = seconds[row] if seconds is not None else None
                texts[row] = usable_text(value, text, second, pair, tagged=model.labels_words)
            except WrongKind as fault:
                if not self.skip_bad_rows:
                    raise DataError(f"row {row + 1} of the batch has {fault}; mend it, or skip bad rows.") from None
        with self._threads():
            predictions = model.predict(list(texts.values()), self.batch_size) if texts else []
        if self.abstain_below is not None:
            predictions = [replace(one, abstained=one.certainty < self.abstain_below) for one in predictions]
        by_row = dict(zip(texts, map(columns.row, predictions), strict=True))
        return [by_row.get(row) for row in range(len(values))]

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        """Inside, torch computes with `threads`; an exported model has its own, and is opened with them."""
        if self.source.is_exported:
            yield
            return
        import torch  # which an exported model does without

        with _in_use:
            before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
            try:
                yield
            finally:
                torch.set_num_threads(before)


def _listed(values: Sequence[Any]) -> list[Any]:
    """The values of a column as a list, of NumPy, pandas or Arrow too; those of lists of words as lists."""
    for method in ("to_pylist", "tolist"):
        if hasattr(values, method):
            return [_listed(value) if hasattr(value, "tolist") else value for value in getattr(values, method)()]
    return list(values)
