"""Rows of typed columns: Parquet, Arrow, data sets, data frames."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from nlp_transfer.data.readers.compressed import refuse_compressed
from nlp_transfer.data.readers.records import BadRow, Record, Table, refuse_repeats
from nlp_transfer.data.row_store import SLICE
from nlp_transfer.errors import DataError

_PEEKED = 100  # rows that show what the values of a column are
_FAULTS = (pa.ArrowException, OSError, ValueError, OverflowError)  # of a damaged file


def parquet_table(path: Path) -> Table:
    """A Parquet file; class labels saved by `datasets` come as their names."""
    refuse_compressed(path)
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        names, features = tuple(schema.names), _features(schema)  # names that are not UTF-8 raise when they are read
    except _FAULTS as error:
        raise DataError(_damaged(path, "Parquet", error)) from None
    refuse_repeats(path, names)

    def rows(wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
        try:
            for batch in file.iter_batches(SLICE, columns=list(wanted)):
                batch.validate(full=True)
                yield from batch.to_pylist()
        except _FAULTS as error:
            raise DataError(_damaged(path, "Parquet", error)) from None

    return Table(names, lambda wanted: _numbered(rows(wanted), wanted, features), unit="row")


def arrow_table(path: Path) -> Table:
    """An Arrow file or stream (Feather is a file); class labels saved by `datasets` come as their names."""
    refuse_compressed(path)
    return _arrow_files(path, [path])


def saved_table(folder: Path) -> Table:
    """What `Dataset.save_to_disk` made of one split: Arrow files and `state.json`, which names them in their order."""
    if (folder / "dataset_dict.json").exists():
        splits = ", ".join(sorted(part.name for part in folder.iterdir() if (part / "state.json").exists()))
        raise DataError(
            f"{folder} holds several splits ({splits}); name one of these folders, or all with --dataset_name {folder}"
        )
    return _arrow_files(folder, _files_of(folder))


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` of `datasets` made this folder, of one split or of several."""
    return any((folder / name).exists() for name in ("state.json", "dataset_dict.json", "dataset_info.json"))


def _files_of(folder: Path) -> list[Path]:
    state = folder / "state.json"
    if not state.exists():
        arrow_files = sorted(folder.glob("*.arrow"))
        if len(arrow_files) == 1:
            return arrow_files
        listed = ", ".join(path.name for path in arrow_files) or "none"
        raise DataError(f"{folder} has no state.json that says which Arrow files it is made of ({listed}); name one.")
    try:
        names = [entry["filename"] for entry in json.loads(state.read_text(encoding="utf-8"))["_data_files"]]
        paths = [folder / str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{state} is damaged ({type(error).__name__}); save the data set again.") from None
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        what = f"is without its {missing[0]}" if missing else "names no Arrow file"
        raise DataError(f"{folder} {what}; save the data set again.")
    return paths


def _arrow_files(source: Path, paths: Sequence[Path]) -> Table:
    try:
        schema = _opened(paths[0]).schema
        names, features = tuple(schema.names), _features(schema)
    except _FAULTS as error:
        raise DataError(_damaged(paths[0], "Arrow", error)) from None
    refuse_repeats(source, names)

    def rows(wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
        for path in paths:
            try:
                for batch in _batches(_opened(path)):
                    chosen = batch.select(list(wanted))
                    chosen.validate(full=True)  # reading what is not valid would end the process
                    for start in range(0, len(chosen), SLICE):
                        yield from chosen.slice(start, SLICE).to_pylist()
            except (*_FAULTS, KeyError) as error:
                raise DataError(_damaged(path, "Arrow", error)) from None

    return Table(names, lambda wanted: _numbered(rows(wanted), wanted, features), unit="row")


def _opened(path: Path) -> Any:
    file = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_stream(file)


def _batches(reader: Any) -> Iterator[Any]:
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _features(schema: Any) -> Mapping[str, Any]:
    """What `datasets` has written of the columns, where it has."""
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    try:
        return datasets.Features.from_arrow_schema(schema)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its description of the columns is broken: {type(error).__name__}") from None


def _damaged(path: Path, form: str, error: Exception) -> str:
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return f"{path} is damaged or not {form} ({why}); copy or write it again."


def hub_table(data: datasets.Dataset) -> Table:
    """A data set that `datasets` has loaded; class labels come as their names."""
    plain = data.with_format(None)
    columns = tuple(data.column_names)
    return Table(
        columns, lambda wanted: _numbered(plain.select_columns(list(wanted)), wanted, data.features), unit="row"
    )


def with_names(table: Table, features: Mapping[str, Any], notes: tuple[str, ...] = ()) -> Table:
    """The table with names in place of ids, written as text or not, in the columns of `features`, and more notes."""

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for record in table.records(wanted):
            if isinstance(record, BadRow):
                yield record
            else:
                named = {
                    name: _name_of(record.values[name], features[name]) for name in features if name in record.values
                }
                yield record._replace(values={**record.values, **named})

    return replace(table, records=records if features else table.records, notes=(*table.notes, *notes))


def _name_of(value: Any, feature: datasets.ClassLabel) -> Any:
    if isinstance(value, list):
        return [_name_of(one, feature) for one in value]
    number = int(value) if isinstance(value, str) and value.strip().lstrip("-").isdecimal() else value
    if isinstance(number, int) and number < 0:
        return None  # unlabelled
    return feature.names[number] if _is_id(number, feature) else value


def frame_table(frame: Any) -> Table:
    """A pandas data frame; what is missing in it has no value."""
    columns = tuple(str(name) for name in frame.columns)
    refuse_repeats("the data frame", columns)

    def rows(wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
        chosen = frame.iloc[:, [columns.index(name) for name in wanted]]
        for start in range(0, len(chosen), SLICE):
            part = chosen.iloc[start : start + SLICE].astype(object)
            part = part.where(part.notna(), None)
            for values in part.itertuples(index=False, name=None):
                yield {name: _native(value) for name, value in zip(wanted, values, strict=True)}

    return Table(columns, lambda wanted: _numbered(rows(wanted), wanted, {}), unit="row")


def _native(value: Any) -> Any:
    """NumPy's arrays as lists and its numbers as Python's; a tuple as a list."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _numbered(
    rows: Iterable[Mapping[str, Any]], wanted: Sequence[str], features: Mapping[str, Any]
) -> Iterator[Record]:
    rows = iter(rows)
    first = list(itertools.islice(rows, _PEEKED))
    decoders = {name: _decoder(features.get(name), [row[name] for row in first]) for name in wanted}
    for number, row in enumerate(itertools.chain(first, rows), start=1):
        yield Record(number, {name: decode(row[name]) for name, decode in decoders.items()})


def _decoder(feature: Any, some: Sequence[Any] = ()) -> Callable[[Any], Any]:
    """What turns stored values, of which `some` are given, into what they stand for: ids of a ClassLabel into names.

    In sequences too, which may be ids, or a mark of 0 or 1 for each name.
    """
    if isinstance(feature, datasets.ClassLabel):
        return lambda value: feature.names[value] if _is_id(value, feature) else None
    inner = getattr(feature, "feature", None)
    if isinstance(inner, datasets.ClassLabel):
        if _are_marks(some, len(inner.names)):
            return lambda marks: None if marks is None else [n for n, m in zip(inner.names, marks, strict=False) if m]
        name = _decoder(inner)
        return lambda values: None if values is None else [name(value) for value in values]
    return lambda value: value


def _are_marks(some: Sequence[Any], width: int) -> bool:
    """Whether all lists have a 0 or 1 for each name, and one of them a mark twice, as ids would not stand."""
    lists = [value for value in some if value is not None]
    are_marks = bool(lists) and all(len(value) == width and set(value) <= {0, 1} for value in lists)
    return are_marks and any(len(set(value)) < width for value in lists)


def _is_id(value: Any, feature: datasets.ClassLabel) -> bool:
    return isinstance(value, int) and 0 <= value < len(feature.names)  # -1: unlabelled
