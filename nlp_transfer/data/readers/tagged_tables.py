"""Tables of words and tags, in whatever shape their rows have them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from nlp_transfer.data.readers.annotated import is_annotated
from nlp_transfer.data.readers.answers import without_rejected
from nlp_transfer.data.readers.columns import TAGS, TEXT, WORDS
from nlp_transfer.data.readers.records import Record, Table
from nlp_transfer.data.readers.span_layouts import SPANS, is_of_label_studio
from nlp_transfer.data.readers.spelt_lists import are_parted_by_blanks, parted_by_blanks, with_lists
from nlp_transfer.data.readers.word_tables import (
    TAG,
    WORD,
    Sentences,
    are_words,
    borders_of,
    is_id,
    numbers_words,
    plain_name,
)

_PEEKED = 100  # rows that show the shape
_MORE = 900  # that show how a table of words parts its sentences
_SENTENCES = 20  # that show whether a table of words has tags
_TAG = re.compile(r"[Oo]$|[BIESLUbi]-\S")

Names = tuple[str | None, str | None]
"""The columns of the words, or the text, and of the tags, or the spans; None is the one of a usual name."""


def sentences_of(
    table: Table, source: str, given: Names, *, tagged: bool = True, also: Sequence[str] = ()
) -> tuple[Table, Names]:
    """The table with a sentence in each row, its words and tags in lists, and the names of their columns.

    Cells that spell lists become lists. Rows of one word each, as data frames of `simpletransformers` and the NER sets
    of Kaggle have them, become sentences: by a column that numbers these or is filled in where they begin, and at blank
    lines. Texts and tags with blanks between become lists of these. Whatever else there is, texts with spans for one,
    stays as it is, and `given` comes back. Without `tagged`, only words are looked for. Records have `also` the columns
    of these names.
    """
    if tagged:
        table = without_rejected(table)
    table = with_lists(table, source, given)
    columns = table.columns
    word = given[0] or _named(columns, WORD)
    tag = (given[1] or _named(columns, TAG, but=word)) if tagged else _named(columns, TAG, but=word)
    text = given[0] or _named(columns, (*WORDS.known, *TEXT.known), but=tag)
    if not {word, text} & set(columns) or (tagged and tag not in columns):
        return table, given
    may_be_words = word in columns and (tag in columns or not tagged)
    records = table.records(columns if may_be_words else _needed(columns, (*given, *also)))
    head = list(itertools.islice(records, _PEEKED))
    rows = [record.values for record in head if isinstance(record, Record)]
    others = [name for name in columns if name not in (word, tag)]
    is_sure = tagged and any(is_id(name) and numbers_words(name) for name in others)
    if word in columns and are_words(rows, str(word), tag, is_sure=is_sure):
        head += itertools.islice(records, _MORE)
        rows = [record.values for record in head if isinstance(record, Record)]
        borders = borders_of(rows, others)
        if tagged or borders.names or not (given[0] or _named(columns, TEXT.known)):
            sentences = Sentences(source, table.unit, str(word), tag, borders)
            of_tags = f" with tags in '{tag}'" if tag else ""
            note = f"{source}: a word in each row, in column '{word}'{of_tags}; a sentence begins {borders.how}."
            return replace(
                table,
                records=lambda wanted: sentences.read(itertools.chain(head, records)),
                notes=(*table.notes, note),
                remarks=lambda: (*table.remarks(), *sentences.remarks()),
            ), (word, tag)
    if tagged and are_parted_by_blanks(rows, str(text), str(tag)):
        note = f"{source}: blanks part the words in column '{text}' and the tags in column '{tag}'."
        both = (str(text), str(tag))
        return replace(
            table,
            records=lambda wanted: parted_by_blanks(itertools.chain(head, records), both),
            notes=(*table.notes, note),
        ), both
    return replace(table, records=lambda wanted: itertools.chain(head, records)), given


def shows_tags(opened: Callable[[], Table], source: str, text_column: str | None) -> bool:
    """Whether what `opened` gives has words with tags, or texts with spans, and not texts with labels."""
    given = (text_column, None)
    table, names = sentences_of(opened(), source, given)
    if names == given:
        if is_annotated(table, given):
            return True
        table, names = sentences_of(opened(), source, given)
    words = [name for name in table.columns if name == names[0] or (not names[0] and name.lower() in WORDS.known)]
    found = (record.values for record in table.records(words) if isinstance(record, Record))
    first = list(itertools.islice(found, _SENTENCES))
    if names == given:
        return bool(first) and any(isinstance(first[0].get(name), list) for name in words)
    # A table of single words with labels is one of texts, unless it parts sentences or has tags.
    has_tags = any(_TAG.match(str(tag)) for row in first for tag in row.get(str(names[1])) or ())
    return has_tags or (len(first) > 1 and any(len(row[str(names[0])]) > 1 for row in first))


def _named(columns: Sequence[str], known: Sequence[str], but: str | None = None) -> str | None:
    return next((name for usual in known for name in columns if plain_name(name) == usual and name != but), None)


def _needed(columns: Sequence[str], given: Sequence[str | None]) -> tuple[str, ...]:
    """The columns by which the shape of rows is known, and those that it may need."""
    if is_of_label_studio(columns):
        return tuple(columns)
    known = {*WORD, *TAG, *map(plain_name, (*WORDS.known, *TEXT.known, *TAGS.known, *SPANS)), "answer"}
    return tuple(name for name in columns if name in given or plain_name(name) in known or is_id(name))
