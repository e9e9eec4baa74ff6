"""The rows of a file or data set to predict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from nlp_transfer.config import PredictionOptions
from nlp_transfer.data.readers import BadRow, Table, hub_table, is_saved, open_table, saved_table, text_lines
from nlp_transfer.data.readers.bad_rows import faults, nothing_left
from nlp_transfer.data.readers.cells import HALF_CHARACTER, Cell, WrongKind, is_unicode, plain, plain_list
from nlp_transfer.data.readers.columns import TEXT, TEXT_PAIR, WORDS, Column, choose_column
from nlp_transfer.data.readers.compressed import form_of
from nlp_transfer.data.readers.delimited_words import has_tags_behind, holds_conll
from nlp_transfer.data.readers.hub import load_hub, local_files
from nlp_transfer.data.readers.reader_registry import Use, reader_options, suffixes_for
from nlp_transfer.data.readers.span_layouts import unwrapped
from nlp_transfer.data.readers.tagged_tables import sentences_of
from nlp_transfer.errors import DataError, OptionError

_ID = Column("id", "--id_column_name", ())
_KEYS = {"file": "row"}  # the key of a row's number in a line of the output


class Text(NamedTuple):
    """A row to predict: `line` is where it stands, `text` a string, two of them, or for a tagger a list of words."""

    line: int
    text: str | list[str]
    id: str | None


@dataclass(frozen=True)
class Texts:
    """Texts of a file or data set. They are read again at each pass, so that memory does not grow with the rows.

    `count` of them can be used, `skipped` not. `sha256` is that of what is read. `notes` report to the user how it was
    read where that was not obvious.
    """

    read: Callable[[], Iterator[Text | BadRow]]
    unit: str
    count: int
    skipped: int
    sha256: str
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Text]:
        return (row for row in self.read() if isinstance(row, Text))


def open_texts(options: PredictionOptions, *, tagged: bool) -> Texts:
    """The texts that the options name, all checked once; `tagged` takes lists of words as well.

    Raises DataError for what cannot be read, and, unless bad rows are to be skipped, for those.
    """
    table = table_opener(options, tagged=tagged)
    source = source_of(options)
    shown, text = _shaped(table(), source, options, tagged)
    unit = shown.unit

    def read() -> Iterator[Text | BadRow]:
        return _texts(*_shaped(table(), source, options, tagged), source, options, tagged)

    digest, count, bad = hashlib.sha256(), 0, []
    for row in _texts(shown, text, source, options, tagged):
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            digest.update(json.dumps(row).encode() + b"\n")
            count += 1
    if bad and not options.skip_bad_rows:
        raise DataError(f"{source} has {faults(bad, unit)}. Mend them, or leave them out with --skip_bad_rows.")
    if not count:
        raise DataError(nothing_left(source, bad, unit))
    return Texts(read, _KEYS.get(unit, unit), count, len(bad), digest.hexdigest(), (*shown.notes, *shown.remarks()))


def source_of(options: PredictionOptions) -> str:
    """The name of what is predicted in messages."""
    return str(options.dataset_name or options.input_file)


def wanted_columns(tagged: bool) -> tuple[Column, Column]:
    """The columns of the text, or for a tagger of the words, and of the second text."""
    return TEXT._replace(known=WORDS.known + TEXT.known) if tagged else TEXT, TEXT_PAIR


def use_of(options: PredictionOptions, *, tagged: bool) -> Use:
    """What the input file is read for: "words" where it has one on each line."""
    by_word = options.conll_columns or _has_a_word_a_line(Path(str(options.input_file)), options.text_column_name)
    return "words" if tagged and by_word else "prediction"


def table_opener(options: PredictionOptions, *, tagged: bool) -> Callable[[], Table]:
    """A function that opens the table of the input, to be read once. It raises DataError and OptionError."""
    if name := options.dataset_name:
        split = options.dataset_split_name or "test"
        if is_saved(Path(name)):
            part = Path(name) / split
            return lambda: saved_table(part if part.is_dir() else Path(name))
        if files := local_files(name, options.dataset_config_name).get(split):
            return _opener(files, options, tagged)
        data = load_hub(name, lambda: datasets.load_dataset(name, options.dataset_config_name, split=split))
        return lambda: hub_table(data)
    return _opener(str(options.input_file), options, tagged)


def _opener(path: str | list[Path], options: PredictionOptions, tagged: bool) -> Callable[[], Table]:
    if options.conll_columns and not tagged:
        raise OptionError("--conll_columns is for taggers.")
    use = use_of(options, tagged=tagged) if isinstance(path, str) else "prediction"
    given = {name: getattr(options, name, None) for name in reader_options()}
    return lambda: unwrapped(open_table(path, use, **given))


def _shaped(table: Table, source: str, options: PredictionOptions, tagged: bool) -> tuple[Table, str | None]:
    """The table, of a tagger with a sentence in each row, and the column of its texts where that is known."""
    if not tagged or not table.columns:
        return table, options.text_column_name
    also = [name for name in (options.id_column_name, options.text_pair_column_name) if name in table.columns]
    table, (column, _) = sentences_of(table, source, (options.text_column_name, None), tagged=False, also=also)
    return table, column


def _has_a_word_a_line(path: Path, text_column: str | None) -> bool:
    """Whether a file has a word on each line; a `.tsv` has, unless the user or its header names a text column."""
    suffix = form_of(path)
    if suffix == ".csv":
        return path.is_file() and holds_conll(path)
    if suffix == ".txt":
        return path.is_file() and has_tags_behind(path)
    if suffix != ".tsv" or text_column or not path.is_file():
        return suffix in suffixes_for("words") and suffix not in suffixes_for("prediction")
    _, header = next(text_lines(path), (1, ""))
    fields = [name.strip().lower() for name in header.split("\t")]
    return not set(fields) & set(TEXT.known) or "o" in fields  # "text\tO" is a word and its tag


def _texts(
    table: Table, text: str | None, source: str, options: PredictionOptions, tagged: bool
) -> Iterator[Text | BadRow]:
    if not table.columns:  # every row that could have named them is bad
        yield from (row for row in table.records(()) if isinstance(row, BadRow))
        return
    wanted, wanted_pair = wanted_columns(tagged)
    column = choose_column(source, table, wanted, text)
    key = options.id_column_name and choose_column(source, table, _ID, options.id_column_name)
    pair = options.text_pair_column_name and choose_column(source, table, wanted_pair, options.text_pair_column_name)
    for record in table.records(list(dict.fromkeys((column, key or column, pair or column)))):
        if isinstance(record, BadRow):
            yield record
            continue
        values = record.values
        at = record.file or record.line
        try:
            id_ = plain(Cell(values.get(key), key, _ID.flag)) if key else None
            second = values.get(pair) if pair else None
            read = usable_text(values.get(column), column, second, pair or None, tagged=tagged)
            if id_ and not is_unicode(id_):
                raise WrongKind(HALF_CHARACTER)
            yield Text(record.line, read, id_)
        except WrongKind as fault:
            yield BadRow(record.line, str(fault), at)


def usable_text(
    value: Any, column: str, second: Any = None, pair_column: str | None = None, *, tagged: bool = False
) -> str | list[str]:
    """The text of a row from the value of its column; with a `pair_column` two of them; for a tagger a list of words.

    WrongKind for what is none: it is empty, of another kind, or cannot be written.
    """
    cell = Cell(value, column, TEXT.flag)
    if pair_column:
        texts = [plain(cell), plain(Cell(second, pair_column, TEXT_PAIR.flag))]
        for name, one in zip(("text", "second text"), texts, strict=True):
            if not one.strip():
                raise WrongKind(f"no {name}")
        if not is_unicode("".join(texts)):
            raise WrongKind(HALF_CHARACTER)
        return texts
    text: Any = plain_list(cell) if tagged and isinstance(value, list) else plain(cell)
    words = text if isinstance(text, list) else [text.strip()]
    if not words or not all(words):
        raise WrongKind("no text" if isinstance(text, str) else "no words, or an empty one")
    if not is_unicode("".join(words)):
        raise WrongKind(HALF_CHARACTER)
    return text
