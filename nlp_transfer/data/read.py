"""How does a file become rows?"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import datasets

from nlp_transfer.data import conll
from nlp_transfer.data.annotated import aligned
from nlp_transfer.data.cells import HALF_CHARACTER, Cell, WrongKind, is_unicode, plain, plain_list
from nlp_transfer.data.columns import LABEL, TAGS, TEXT, TEXT_PAIR, WORDS, Column, choose_columns
from nlp_transfer.data.forms import (
    FOLDER,
    BadRow,
    Record,
    Table,
    annotated_folder,
    arrow_table,
    csv_table,
    delimiter_named,
    docbin_table,
    frame_table,
    hub_table,
    is_saved,
    json_table,
    jsonl_table,
    labelled_folder,
    open_table,
    parquet_table,
    saved_table,
)
from nlp_transfer.data.labels import AS_FOUND, LabelForm, feature_of
from nlp_transfer.data.spans import MANNERS
from nlp_transfer.data.store import batched, counted, rows_of, stored
from nlp_transfer.errors import DataError, OptionError

if TYPE_CHECKING:
    import pandas

Source: TypeAlias = "str | os.PathLike[str] | datasets.Dataset | pandas.DataFrame"
"""What rows are read from: a path, or an object in memory."""


@dataclass(frozen=True)
class Rows:
    """What one file or split holds, and what had to be left out.

    `data` has the columns text and label (classification; of pairs text_pair as well) or words and tags (NER), and
    line: the line of the file where the row begins, or the number of the row where `unit` is "row", or of the file
    where it is "file". A label is a string, a list of strings where a text has several, or a float
    (`labels.problem_of`). `columns` says which column of the file plays which role, `found` which columns there are.
    `notes` tell how it was read where that was not plain, and `misaligned` has a line for each span of characters that
    was widened or left out, or that its row was left out for.
    """

    data: datasets.Dataset
    source: str
    skipped: tuple[int | str, ...]
    columns: Mapping[str, str]
    sha256: str
    unit: str = "line"
    found: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    misaligned: tuple[str, ...] = ()


def read_classification(
    path: Source,
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    pair_column: str | None = None,
    labels: LabelForm = AS_FOUND,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
) -> Rows:
    """Read texts, or with a `pair_column` pairs of them, with their labels.

    They come from CSV, TSV, JSON lines, JSON, Parquet, Arrow, a folder, or an object in memory. A folder is one that
    `datasets` has saved, or holds a folder per label with `.txt` files in it. An object is a pandas data frame or a
    `datasets.Dataset`. `delimiter` is that of CSV and TSV, which is told from the rows unless given. `labels` says how
    these are written. Labels are strings without white space around them, texts are as the file has them. DataError
    names what is wrong.

    >>> read_classification("train.csv", label_column="category").data[0]  # doctest: +SKIP
    {'text': 'I am still waiting on my card?', 'label': 'card_arrival', 'line': 2}
    """
    csv = partial(csv_table, delimiter=delimiter_for(path, delimiter, (".csv", ".tsv")))
    table = _opened(path, {".csv": csv, ".tsv": csv} | RECORD_FORMS | {FOLDER: labelled_folder})
    table, task = _classification(table, _name(path), text_column, pair_column, label_column, labels)
    return _rows(table, _name(path), task, skip_bad_rows)


def read_tagged(
    path: Source,
    words_column: str | None = None,
    tags_column: str | None = None,
    *,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
    conll_columns: str | None = None,
    misaligned: str = "strict",
) -> Rows:
    """Read sentences with a tag for each word: CoNLL columns, lists of words and tags, or texts with character spans.

    Lists and spans come from JSON lines, JSON, Parquet, Arrow or an object in memory (see `read_classification`), in
    any layout that `data.annotated` knows, or from a folder of brat or a `.spacy` file. The columns of a CoNLL file are
    called words and tags: the first and the last one, or those that `conll_columns` names, such as "0,3". `misaligned`
    says what is done with spans that do not fall on words: `strict` raises DataError, `snap`, `drop`.
    """
    forms = conll_forms(path, conll.conll_table, conll_columns, delimiter) | RECORD_FORMS
    table = _opened(path, forms | {".spacy": docbin_table, FOLDER: annotated_folder})
    return _tagged_rows(table, _name(path), (words_column, tags_column), misaligned, skip_bad_rows)


def read_hub(
    name: str,
    split: str,
    config_name: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    tagged: bool = False,
    pair_column: str | None = None,
    labels: LabelForm = AS_FOUND,
    skip_bad_rows: bool = False,
    misaligned: str = "strict",
) -> Rows:
    """Read one split of a data set on the hub or in a folder, with words and tags if `tagged`.

    `datasets` reads the files and may guess types: a CSV with labels 001 and 002 comes as 1 and 2. What it has saved
    itself comes as it was.
    """
    if is_saved(Path(name)):
        table = saved_table(Path(name) / split if _saved_splits(Path(name)) else Path(name))
    else:
        table = hub_table(load_hub(name, lambda: datasets.load_dataset(name, config_name, split=split)))
    if tagged:
        return _tagged_rows(table, name, (text_column, label_column), misaligned, skip_bad_rows)
    table, task = _classification(table, name, text_column, pair_column, label_column, labels)
    return _rows(table, name, task, skip_bad_rows)


def hub_splits(name: str, config_name: str | None = None) -> tuple[str, ...]:
    """The names of the splits that a data set on the hub or in a folder has; one saved without splits has a train."""
    if is_saved(Path(name)):
        return _saved_splits(Path(name)) or ("train",)
    return tuple(load_hub(name, lambda: datasets.get_dataset_split_names(name, config_name)))


def _saved_splits(folder: Path) -> tuple[str, ...]:
    if not (folder / "dataset_dict.json").exists():
        return ()
    return tuple(sorted(part.name for part in folder.iterdir() if (part / "state.json").exists()))


def fingerprint(data: datasets.Dataset) -> str:
    """The SHA-256 of the rows' content; the same rows from another file form have the same one."""
    digest = hashlib.sha256()
    for row in rows_of(data, *(name for name in data.column_names if name != "line")):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


RECORD_FORMS = {
    ".jsonl": jsonl_table,
    ".ndjson": jsonl_table,
    ".json": json_table,
    ".parquet": parquet_table,
    ".arrow": arrow_table,
    ".feather": arrow_table,
}


def conll_forms(
    path: Source, table: Callable[..., Table], columns: str | None, delimiter: str | None
) -> dict[str, Callable[[Path], Table]]:
    """The forms of CoNLL columns, to be read by `table`. OptionError where options of theirs are given for another."""
    suffixes = (*conll.SUFFIXES, ".txt", ".tsv")
    if columns and _suffix(path) not in suffixes:
        raise OptionError(
            f"--conll_columns is for files of CoNLL columns ({', '.join(suffixes)}), not for {_name(path)}."
        )
    read = partial(table, columns=columns, delimiter=delimiter_for(path, delimiter, suffixes))
    return dict.fromkeys(suffixes, read)


def delimiter_for(path: Source, name: str | None, suffixes: Sequence[str]) -> str | None:
    """The character that --delimiter gives, if it does. OptionError where `path` has no delimiter."""
    if name and _suffix(path) not in suffixes:
        raise OptionError(f"--delimiter is for files such as {', '.join(suffixes)}, not for {_name(path)}.")
    return delimiter_named(name) if name else None


def _suffix(source: Source) -> str:
    return Path(source).suffix.lower() if isinstance(source, str | os.PathLike) else ""


def _name(source: Source) -> str:
    """What a source is called in what the user is told."""
    return str(source) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"


def _opened(source: Source, forms: Mapping[str, Callable[[Path], Table]]) -> Table:
    if isinstance(source, str | os.PathLike):
        return open_table(source, forms)
    if isinstance(source, datasets.Dataset):
        return hub_table(source)
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return frame_table(source)
    raise DataError(
        f"{_name(source)} is not read here; give a path, a pandas DataFrame or a datasets.Dataset (of an iterable one "
        "its rows: Dataset.from_list(list(rows)))."
    )


class _Task(NamedTuple):
    """Which columns are read, the names that were `given` for them, and what their cells are turned into."""

    wanted: tuple[Column, ...]
    given: tuple[str | None, ...]
    convert: Callable[..., tuple[Any, ...] | str]  # a str is the fault
    features: Mapping[str, Any]


def _rows(table: Table, source: str, task: _Task, skip_bad_rows: bool) -> Rows:
    if not table.columns:
        unreadable = [row for row in table.records(()) if isinstance(row, BadRow)]
        raise DataError(nothing_left(source, unreadable, table.unit))
    chosen = choose_columns(source, table.columns, task.wanted, task.given)
    bad: list[BadRow] = []

    def good() -> Iterator[tuple[Any, ...]]:
        for record in counted(f"reading {Path(source).name}", rows=table.records(chosen)):
            row = record if isinstance(record, BadRow) else _convert(record, task, chosen)
            if isinstance(row, BadRow):
                bad.append(row)
            else:
                yield row

    features = datasets.Features({**task.features, "line": datasets.Value("int64")})
    data = stored((dict(zip(features, zip(*rows, strict=True), strict=True)) for rows in batched(good())), features)
    if bad and not skip_bad_rows:
        raise DataError(f"{source} has {faults(bad, table.unit)}. Mend them, or leave them out with --skip_bad_rows.")
    if not len(data):
        raise DataError(nothing_left(source, bad, table.unit))
    columns: dict[str, str] = {}
    for column, name in zip(task.wanted, chosen, strict=True):
        columns[column.role] = f"{columns[column.role]}, {name}" if column.role in columns else name
    skipped = tuple(row.at if table.unit == "file" else row.line for row in bad)
    return Rows(data, source, skipped, columns, fingerprint(data), table.unit, table.columns, table.notes)


def _tagged_rows(
    table: Table, source: str, given: tuple[str | None, str | None], misaligned: str, skip_bad_rows: bool
) -> Rows:
    if misaligned not in MANNERS:
        raise OptionError(f"--misaligned must be {', '.join(MANNERS)}; given was {misaligned}.")
    table, alignment = aligned(table, source, given, misaligned, skip_bad_rows)
    if alignment is None:
        return _rows(table, source, _tagged(*given), skip_bad_rows)
    rows = _rows(table, source, _tagged(None, None), skip_bad_rows)
    return replace(rows, notes=(*rows.notes, *alignment.notes()), misaligned=alignment.whole_list())


def _convert(record: Record, task: _Task, chosen: Sequence[str]) -> tuple[Any, ...] | BadRow:
    cells = [Cell(record.values.get(name), name, column.flag) for name, column in zip(chosen, task.wanted, strict=True)]
    try:
        row = task.convert(*cells)
    except WrongKind as fault:
        row = str(fault)
    return BadRow(record.line, row, record.file or record.line) if isinstance(row, str) else (*row, record.line)


def _classification(
    table: Table, source: str, text: str | None, pair: str | None, label: str | None, form: LabelForm
) -> tuple[Table, _Task]:
    """The task, and the table that can still be read whole: its first rows may tell whether labels stand in lists."""
    texts = [(TEXT, text)]
    if pair:
        texts.append((TEXT_PAIR, pair))
    marked = LABEL._replace(flag="--label_columns")
    labels = [(marked, name) for name in form.columns] if form.columns else [(LABEL, label)]
    wanted, given = (tuple(part) for part in zip(*texts, *labels, strict=True))
    table, some = (
        _with_first(table, choose_columns(source, table.columns, wanted, given)) if table.columns else (table, [])
    )
    problem = form.problem_with(some)
    read = form.reading(problem)

    def convert(*cells: Cell) -> tuple[Any, ...] | str:
        values = [plain(cell) for cell in cells[: len(texts)]]
        label, fault = read(cells[len(texts) :])
        names = ("text", "second text")
        missing = [f"no {name}" for name, value in zip(names, values, strict=False) if not value.strip()]
        if missing or fault:
            return " and ".join([*missing, fault] if fault else missing)
        return (*values, label) if is_unicode("".join(values) + str(label)) else HALF_CHARACTER

    features = {column.role: datasets.Value("string") for column, _ in texts} | {"label": feature_of(problem)}
    return table, _Task(wanted, given, convert, features)


def _with_first(table: Table, chosen: Sequence[str]) -> tuple[Table, list[Any]]:
    """The table, and the values that its first rows have in the last of the columns that are `chosen`."""
    records = table.records(chosen)
    head = list(itertools.islice(records, 100))
    some = [row.values.get(chosen[-1]) for row in head if isinstance(row, Record)]
    return replace(table, records=lambda wanted: itertools.chain(head, records)), some


def _tagged(words: str | None, tags: str | None) -> _Task:
    list_of_strings = datasets.List(datasets.Value("string"))
    return _Task((WORDS, TAGS), (words, tags), _words_and_tags, {"words": list_of_strings, "tags": list_of_strings})


def _words_and_tags(words_cell: Cell, tags_cell: Cell) -> tuple[list[str], list[str]] | str:
    words, tags = plain_list(words_cell), [tag.strip() for tag in plain_list(tags_cell)]
    if len(words) != len(tags):
        return f"{len(words)} words and {len(tags)} tags"
    if not words:
        return "no words"
    if not all(tags):
        return "a word that has no tag"
    if not all(words):
        return "a tag that has no word"
    return (words, tags) if is_unicode("".join(words + tags)) else HALF_CHARACTER


def some_numbers(numbers: Sequence[int | str], unit: str) -> str:
    """The first five line or row numbers, or names of files, in words: "lines 2, 5, 9, 11, 14 ..."."""
    shown = ", ".join(str(number) for number in numbers[:5])
    return f"{unit}{'s' * (len(numbers) > 1)} {shown}{' ...' * (len(numbers) > 5)}"


def faults(bad: Sequence[BadRow], unit: str) -> str:
    """What is wrong with rows, in words: "2 rows with no text (lines 3, 9), 1 row with no label (line 4)"."""
    groups: dict[str, list[int | str]] = {}
    for row in bad:
        groups.setdefault(row.fault, []).append(row.at)
    told = [
        f"{len(numbers):,} row{'s' * (len(numbers) > 1)} with {fault} ({some_numbers(numbers, unit)})"
        for fault, numbers in list(groups.items())[:3]
    ]
    more = sum(len(numbers) for numbers in list(groups.values())[3:])
    return ", ".join(told) + (f", and {more:,} more bad row{'s' * (more > 1)}" if more else "")


def nothing_left(source: str, bad: Sequence[BadRow], unit: str) -> str:
    """What is said of a source in which no row can be used."""
    if not bad:
        return f"{source} holds no rows; give a file with rows in it."
    return f"{source} has no row that can be used: it has {faults(bad, unit)}. Mend them, or check the columns named."


def load_hub(name: str, load: Callable[[], Any]) -> Any:
    """What `load` gives of the data set `name`. DataError where it is not there or cannot be read."""
    try:
        return load()
    except datasets.exceptions.DatasetNotFoundError:
        raise DataError(
            f"there is no data set '{name}' on the hub nor a folder of that name, or you may not see it; "
            "check --dataset_name, or log in with: hf auth login"
        ) from None
    except ConnectionError as error:
        raise DataError(
            f"the data set '{name}' is not on this machine and the hub cannot be reached ({_first_line(error)}); "
            "connect to the network, or give files with --train_file."
        ) from None
    except (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the data set '{name}' cannot be loaded ({_first_line(error)}); "
            "check --dataset_name, its configuration and its splits."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
