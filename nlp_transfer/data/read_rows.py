"""The rows of a source: texts with labels, words with tags, or either without."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets

from nlp_transfer.data.character_spans import MANNERS
from nlp_transfer.data.label_reading import reading_of
from nlp_transfer.data.labels import AS_FOUND, LabelForm
from nlp_transfer.data.readers import BadRow, Table
from nlp_transfer.data.readers.annotated import aligned
from nlp_transfer.data.readers.annotated_labels import labelled
from nlp_transfer.data.readers.bad_rows import faults, nothing_left
from nlp_transfer.data.readers.columns import TEXT, WORDS, choose_columns
from nlp_transfer.data.readers.span_layouts import is_of_label_studio, unwrapped
from nlp_transfer.data.readers.tagged_tables import sentences_of
from nlp_transfer.data.row_store import batched, counted, stored
from nlp_transfer.data.rows import Rows, fingerprint
from nlp_transfer.data.split_sources import Source, SplitSource, hub_source, source_of
from nlp_transfer.data.tag_spellings import with_usual_tags
from nlp_transfer.data.task_columns import (
    Task,
    classification,
    converted,
    has_labels,
    has_tags,
    tagged,
    texts_alone,
    words_alone,
)
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.system.invisible import bare, odd_characters


def read_classification(
    path: Source,
    text_column: str | None = None,
    label_column: str | None = None,
    *,
    pair_column: str | None = None,
    labels: LabelForm = AS_FOUND,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
    quoting: str | None = None,
    no_header: bool = False,
) -> Rows:
    """Read texts, or with a `pair_column` pairs of them, with their labels.

    They come from CSV, TSV, Excel, JSON lines, JSON, Parquet, Arrow, a folder, or an object in memory. A folder is one
    that `datasets` has saved, or holds a folder per label with `.txt` files in it. An object is a pandas data frame or
    a `datasets.Dataset`. `delimiter`, `quoting` and `no_header` are of CSV and TSV (see `csv_table`). `labels` says how
    labels are written. Labels are strings without white space around them, texts are as the file has them. DataError
    names what is wrong.

    >>> read_classification("train.csv", label_column="category").data[0]  # doctest: +SKIP
    {'text': 'I am still waiting on my card?', 'label': 'card_arrival', 'line': 2}
    """
    source = source_of(path, delimiter=delimiter, quoting=quoting, no_header=no_header)
    return _with_their_labels(source, (text_column, pair_column, label_column), labels, skip_bad_rows)


def read_tagged(
    path: Source,
    words_column: str | None = None,
    tags_column: str | None = None,
    *,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
    quoting: str | None = None,
    no_header: bool = False,
    conll_columns: str | None = None,
    misaligned: str = "strict",
    tag_names: Sequence[str] = (),
) -> Rows:
    """Read sentences with a tag for each word: CoNLL columns, lists of words and tags, or texts with character spans.

    Lists and spans come from JSON lines, JSON, Parquet, Arrow or an object in memory (see `read_classification`), in
    any layout that `data.annotated` knows, or from a folder of brat or a `.spacy` file. The columns of a CoNLL file are
    called words and tags: the first and the last one, or those that `conll_columns` names, such as "0,3". Tables of a
    word in each row, and cells that spell lists, are read as `data.tagged_tables` says. `misaligned` says what is done
    with spans that do not align with words: `strict` raises DataError, `snap`, `drop`. Tags of other spellings become
    those of the schemes (`data.tag_spellings`), numbers those of `tag_names`.
    """
    form = {"conll_columns": conll_columns, "delimiter": delimiter, "quoting": quoting, "no_header": no_header}
    return tagged_rows(source_of(path, **form), (words_column, tags_column), misaligned, skip_bad_rows, tag_names)


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
    tag_names: Sequence[str] = (),
    **form: str | bool | None,
) -> Rows:
    """Read one split of a data set on the hub or in a folder, with words and tags if `tagged`.

    The files of a folder are read as `read_classification` and `read_tagged` read files, with what they take for
    `form`. Of the hub `datasets` reads them and may guess types: a CSV with labels 001 and 002 comes as 1 and 2. What
    it has saved itself comes as it was.
    """
    source = hub_source(name, split, config_name, **form)
    if tagged:
        return tagged_rows(source, (text_column, label_column), misaligned, skip_bad_rows, tag_names)
    return _with_their_labels(source, (text_column, pair_column, label_column), labels, skip_bad_rows)


def labelled_rows(
    source: SplitSource, given: tuple[str | None, str | None, str | None], form: LabelForm, skip_bad_rows: bool
) -> Rows:
    """The rows of a source with labels as its cells hold them, in columns `given` for text, second text and label."""
    table, task = classification(source.opened("labels"), source.name, *given, form)
    return _rows(table, source.name, task, skip_bad_rows)


def raw_text_rows(source: SplitSource, text_column: str | None, skip_bad_rows: bool) -> Rows:
    """The texts of a source and nothing else of it, whether or not it has labels."""
    return _rows(unwrapped(source.opened("prediction")), source.name, texts_alone(text_column, None), skip_bad_rows)


def unlabelled_rows(
    source: SplitSource,
    given: tuple[str | None, str | None, str | None],
    labels: Sequence[str],
    known: Container[str],
    skip_bad_rows: bool,
) -> Rows | None:
    """The rows of a source of which none has a label, in the columns `labels`, with nothing but texts; else None.

    `given` are as in `labelled_rows`, `known` are labels of the training rows, which -1 may be. DataError where a
    column is called nearly as one of `labels`, or as labels are.
    """
    *texts, label = given
    table = labelled(source.opened("labels"), source.name, label)
    if not table.columns or has_labels(table, source.name, labels, known, texts):
        return None
    return _rows(unwrapped(source.opened("labels")), source.name, texts_alone(*texts), skip_bad_rows)


def untagged_rows(source: SplitSource, given: tuple[str | None, str | None], skip_bad_rows: bool) -> Rows | None:
    """The rows of a source of lists of words, of which none has a tag, with nothing but words; else None."""
    try:
        table = source.opened("tags")
    except DataError as error:
        if "no line with two columns" not in str(error):
            raise
        return _rows(source.opened("words"), source.name, words_alone(None), skip_bad_rows)
    if is_of_label_studio(table.columns) or has_tags(table, given[1]):
        return None
    table, (words, _) = sentences_of(source.opened("tags"), source.name, given, tagged=False)
    known = [name for name in table.columns if name == words or (not words and name.lower() in WORDS.known)]
    if known:
        return _rows(table, source.name, words_alone(words), skip_bad_rows)
    texts = [name for name in table.columns if name == given[0] or (not given[0] and name.lower() in TEXT.known)]
    return _rows(table, source.name, texts_alone(texts[0], None), skip_bad_rows) if texts else None


def _rows(table: Table, source: str, task: Task, skip_bad_rows: bool) -> Rows:
    if not table.columns:
        unreadable = [row for row in table.records(()) if isinstance(row, BadRow)]
        raise DataError(nothing_left(source, unreadable, table.unit))
    chosen = choose_columns(source, table, task.wanted, task.given)
    bad: list[BadRow] = []
    meant: list[BadRow] = []

    def good() -> Iterator[tuple[Any, ...]]:
        for record in counted(f"reading {Path(source).name}", rows=table.records(chosen)):
            row = record if isinstance(record, BadRow) else converted(record, task, chosen)
            if isinstance(row, BadRow):
                (meant if row.is_meant else bad).append(row)
            else:
                yield row

    features = datasets.Features({**task.features, "line": datasets.Value("int64")})
    data = stored((dict(zip(features, zip(*rows, strict=True), strict=True)) for rows in batched(good())), features)
    if bad and not skip_bad_rows:
        raise DataError(f"{source} has {faults(bad, table.unit)}. Mend them, or leave them out with --skip_bad_rows.")
    if not len(data):
        raise DataError(nothing_left(source, [*bad, *meant], table.unit))
    notes = (*table.notes, *table.remarks())
    for name in chosen:
        if bare(name) != name:
            odd = ", ".join(odd_characters(name))
            notes += (f"{source}: the column '{bare(name)}' has characters that nobody sees in its name ({odd}).",)
    if meant:
        notes += (f"{source}: left out {faults(meant, table.unit)}.",)
    columns: dict[str, str] = {}
    for column, name in zip(task.wanted, chosen, strict=True):
        columns[column.role] = f"{columns[column.role]}, {name}" if column.role in columns else name
    skipped, left_out = (tuple(row.at if table.unit == "file" else row.line for row in rows) for rows in (bad, meant))
    return Rows(
        data, source, skipped, columns, fingerprint(data), table.unit, table.columns, notes, left_out=left_out
    )  # fmt: skip


def _with_their_labels(
    source: SplitSource, given: tuple[str | None, str | None, str | None], form: LabelForm, skip_bad_rows: bool
) -> Rows:
    as_written = form._replace(problem="single_label") if form.problem == "regression" else form
    rows = labelled_rows(source, given, as_written, skip_bad_rows)
    return reading_of(rows, form, skip_bad_rows, infers=False, ordered=False).change(rows)


def tagged_rows(
    source: SplitSource,
    given: tuple[str | None, str | None],
    misaligned: str,
    skip_bad_rows: bool,
    tag_names: Sequence[str] = (),
) -> Rows:
    """The words and tags of a source, in columns `given` for words, or text, and tags, or spans."""
    if misaligned not in MANNERS:
        raise OptionError(f"--misaligned must be {', '.join(MANNERS)}; got {misaligned}.")
    rows, counting = None, None
    while rows is None:
        table, names = sentences_of(source.opened("tags"), source.name, given)
        table, alignment = aligned(table, source.name, names, misaligned, skip_bad_rows, counting)
        try:
            rows = _rows(table, source.name, tagged(*((None, None) if alignment else names)), skip_bad_rows)
        except DataError:
            if not alignment or not alignment.recount():
                raise
        # All rows together tell how offsets are counted: where otherwise than was thought, they are read again.
        counting = alignment.recount() if alignment else None
        rows = None if counting else rows
    data, notes = with_usual_tags(rows.data, source.name, tag_names)
    if data is not rows.data:
        rows = replace(rows, data=data, sha256=fingerprint(data))
    more = alignment.notes() if alignment else ()
    return replace(
        rows, notes=(*rows.notes, *more, *notes), misaligned=alignment.whole_list() if alignment else ()
    )  # fmt: skip
