"""Texts of folders of .txt files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.text_lines import text_lines
from nlp_transfer.errors import DataError


def labelled_folder(folder: Path) -> Table:
    """A folder per label holding `.txt` files, each one text.

    The columns are text, label (the name of the folder) and file (the path within `folder`), the rows in the order of
    their paths. What stands in the folder of a label and is no `.txt` is a bad row; what stands beside those folders is
    not read, which the notes report.
    """
    labels = [part for part in _visible(folder) if part.is_dir() and _visible(part)]
    if not any(path.suffix.lower() == ".txt" for part in labels for path in _visible(part)):
        raise DataError(
            f"{folder} is a folder that holds no folder per label with .txt files in it, nor a data set saved by "
            "datasets; give a file in it, or put each text as a .txt into a folder named by its label."
        )
    beside = [path.name for path in _visible(folder) if path.is_file()]
    note = f"{folder}: {len(beside)} file{'s' * (len(beside) > 1)} beside the folders of labels not read"
    shown = f" ({', '.join(beside[:5])}{' ...' * (len(beside) > 5)})."
    return _texts(folder, (path for part in labels for path in _visible(part)), notes=(note + shown,) if beside else ())


def text_folder(folder: Path) -> Table:
    """Every `.txt` in a folder and the folders in it, each one text, as `labelled_folder` has them."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".txt" and path.is_file())
    if not paths:
        raise DataError(f"{folder} is a folder that holds no .txt file, nor a data set saved by datasets; give a file.")
    return _texts(folder, paths)


def whole_text(path: Path) -> str:
    """A UTF-8 file as it is, without its byte order mark; DataError on other encodings and on NUL bytes."""
    return "".join(line for _, line in text_lines(path))


def _texts(folder: Path, paths: Iterable[Path], notes: tuple[str, ...] = ()) -> Table:
    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for number, path in enumerate(paths, start=1):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and path.suffix.lower() == ".txt":
                text = whole_text(path).removesuffix("\n").removesuffix("\r")
                yield Record(number, {"text": text, "label": path.parent.name, "file": name}, name)
            else:
                yield BadRow(number, "a name that does not end in .txt", name)

    return Table(("text", "label", "file"), records, "file", notes)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
