"""The registry of readers, and the opening of a file by the reader of its form."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from nlp_transfer.data.readers.compressed import form_of
from nlp_transfer.data.readers.joined_files import files_named, joined
from nlp_transfer.data.readers.records import Table
from nlp_transfer.errors import DataError, OptionError

FOLDER = "folders"
"""What a reader of folders is registered under in place of a suffix."""

Use = Literal["labels", "tags", "prediction", "words"]
"""What rows are read for: to learn labels of texts or tags of words, or to predict them; "words" is one word a line."""


class Reader(NamedTuple):
    """How a form of file is read: `read(path, **options)` gives its table, of files that it `recognises`."""

    read: Callable[..., Table]
    options: tuple[str, ...]
    recognises: Callable[[Path], bool]


_READERS: dict[Use, dict[str, list[Reader]]] = {use: {} for use in get_args(Use)}


def register_reader(
    *suffixes: str,
    read: Callable[..., Table],
    uses: Sequence[Use] = ("labels", "tags", "prediction"),
    options: Sequence[str] = (),
    recognises: Callable[[Path], bool] = lambda path: True,
) -> None:
    """Have files with these suffixes read by `read`, in training, in predicting and in checks.

    `options` names the flags (`delimiter`, `conll_columns`) that `read` takes as keywords. Of the readers of a suffix
    the last one registered that `recognises` the path reads it. `nlp_transfer.data.readers.FOLDER` stands for folders.
    Raises OptionError for a suffix without its dot, and for an unknown use.

    >>> from nlp_transfer.data.readers import Record, Table, text_lines
    >>> def pipe_table(path):
    ...     rows = (Record(n, dict(zip(("label", "text"), line.strip().split("|")))) for n, line in text_lines(path))
    ...     return Table(("label", "text"), lambda columns: rows)
    >>> nt.register_reader(".pipe", read=pipe_table)  # doctest: +SKIP
    """
    for suffix in suffixes:
        if suffix != FOLDER and not (suffix.startswith(".") and len(suffix) > 1):
            raise OptionError(f"a reader is registered for suffixes such as '.pipe', or for FOLDER; got '{suffix}'.")
    for use in uses:
        if use not in _READERS:
            raise OptionError(f"the uses of a reader are {', '.join(_READERS)}; got '{use}'.")
        for suffix in suffixes:
            _READERS[use].setdefault(suffix.lower(), []).append(Reader(read, tuple(options), recognises))


def reader_options() -> tuple[str, ...]:
    """The options that any reader takes: of a run, those that say how its files are read."""
    readers = (reader for by_suffix in _READERS.values() for some in by_suffix.values() for reader in some)
    return tuple(dict.fromkeys(name for reader in readers for name in reader.options))


def suffixes_for(use: Use) -> tuple[str, ...]:
    """The suffixes that have a reader for this use, in the order in which they were registered."""
    return tuple(_READERS[use])


def open_table(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], use: Use, **options: str | bool | None
) -> Table:
    """The table of a file or folder, by the reader that is registered for its suffix.

    A compressed file (.gz, .bz2, .xz, .zst) is read as what is in it; several files, and those of a path with
    wildcards, are read as one. Raises DataError where there is no such file, or no reader, and OptionError for an
    option that its reader lacks.
    """
    paths: list[Path] = []
    for one in [path] if isinstance(path, str | os.PathLike) else path:
        require_file(Path(one))
        paths += files_named(Path(one))
    if not paths:
        raise DataError("no file is given; give one with rows in it.")
    if len(paths) > 1:
        return joined([(part, _table(part, use, options)) for part in paths])
    return _table(paths[0], use, options)


def _table(path: Path, use: Use, options: Mapping[str, str | bool | None]) -> Table:
    if path.is_dir() and FOLDER not in _READERS[use]:
        raise DataError(f"{path} is a folder; give a file in it.")
    reader = _reader_of(path, use)
    if reader is None:
        named = f"the suffix '{path.suffix}' is" if path.suffix else "a name without a suffix is"
        raise DataError(
            f"{path}: {named} not supported; supported are {', '.join(_READERS[use])}, compressed ones too."
        )
    check_options(str(path), use, reader.options, **options)
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read by you; give yourself the right with: chmod u+r '{path}'")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty; give a file with rows in it.")
    return reader.read(path, **{name: options[name] for name in reader.options if options.get(name)})


def options_for(path: str | os.PathLike[str], use: Use) -> tuple[str, ...]:
    """The options that the reader of a file or folder takes; none where there is no reader."""
    first = next(iter(files_named(Path(path))), None)
    reader = _reader_of(first, use) if first else None
    return reader.options if reader else ()


def _reader_of(path: Path, use: Use) -> Reader | None:
    readers = _READERS[use].get(FOLDER if path.is_dir() else form_of(path), [])
    return next((reader for reader in reversed(readers) if reader.recognises(path)), None)


def check_options(source: str, use: Use, taken: Sequence[str], **options: str | bool | None) -> None:
    """OptionError where an option is set that is not among those `taken` for the source."""
    for name, value in options.items():
        if value and name not in taken:
            suffixes = [suffix for suffix, readers in _READERS[use].items() if name in readers[-1].options]
            raise OptionError(f"--{name} is for files such as {', '.join(suffixes)}, not for {source}.")


def require_file(path: Path) -> None:
    """DataError unless there is such a file or folder, or where its name has wildcards a file that they name."""
    if not files_named(path):
        raise DataError(f"{path} names no file: nothing there matches it; check the path.")
    if not path.exists() and files_named(path) == [path]:
        raise DataError(f"{path} does not exist; {_nearest_file(path)}")


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"nor does its folder {path.parent}: check the path."
    near = difflib.get_close_matches(path.name, sorted(os.listdir(path.parent)), n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path."
