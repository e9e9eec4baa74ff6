"""What the rows of a split are read from: files, data sets of the hub or in a folder, objects in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeGuard

import datasets

from nlp_transfer.data.readers import Table, frame_table, hub_table, is_saved, open_table, saved_table
from nlp_transfer.data.readers.columnar import with_names
from nlp_transfer.data.readers.hub import load_hub, local_files, named_features, saved_splits, unread_files
from nlp_transfer.data.readers.reader_registry import Use, check_options
from nlp_transfer.errors import DataError

if TYPE_CHECKING:
    import pandas

Source: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | datasets.Dataset | pandas.DataFrame"
"""What rows are read from: a path, several that are read as one, or an object in memory."""


class SplitSource(NamedTuple):
    """What the rows of a split are read from: its name in messages, and what opens its table anew each time."""

    name: str
    opened: Callable[[Use], Table]


def source_of(path: Source, **form: str | bool | None) -> SplitSource:
    """The source that a path, or an object in memory, is; `form` are options of the reader of files."""
    return SplitSource(_name(path), lambda use: _opened(path, use, **form))


def hub_source(name: str, split: str, config_name: str | None = None, **form: str | bool | None) -> SplitSource:
    """The source that a split of a data set on the hub or in a folder is. DataError where it cannot be loaded."""
    if is_saved(Path(name)):
        part = Path(name) / split if saved_splits(Path(name)) else Path(name)
        return SplitSource(f"{name} ({split})", lambda use: saved_table(part))
    found = local_files(name, config_name)
    if paths := found.get(split):
        features, others = named_features(name, config_name), unread_files(name, found)
        left = f"{name}: not read: {', '.join(others[:5])}{' ...' * (len(others) > 5)}; --train_file names files."
        return SplitSource(
            _name(paths),
            lambda use: with_names(open_table(paths, use, **form), features, (left,) if others else ()),
        )
    check_options(name, "labels", (), **form)
    data = load_hub(name, lambda: datasets.load_dataset(name, config_name, split=split))
    return SplitSource(f"{name} ({split})", lambda use: hub_table(data))


def _name(source: Source) -> str:
    """The name of a source in messages."""
    if _are_paths(source):
        return f"{source[0]}" + (f" and {len(source) - 1} more" if len(source) > 1 else "")
    return str(source) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"


def _are_paths(source: Source) -> TypeGuard[Sequence[str | os.PathLike[str]]]:
    return isinstance(source, list | tuple) and all(isinstance(p, str | os.PathLike) for p in source) and bool(source)


def _opened(source: Source, use: Use, **options: str | bool | None) -> Table:
    if isinstance(source, str | os.PathLike) or _are_paths(source):
        return open_table(source, use, **options)
    check_options(_name(source), use, (), **options)
    if isinstance(source, datasets.Dataset):
        return hub_table(source)
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return frame_table(source)
    raise DataError(
        f"{_name(source)} is not supported; give a path, a pandas DataFrame or a datasets.Dataset (of an iterable one "
        "its rows: Dataset.from_list(list(rows)))."
    )
