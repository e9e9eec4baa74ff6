"""Sentences of CoNLL files: a word and its tag on each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.readers.conll_layout import Layout, ends_sentence, layout_of
from nlp_transfer.data.readers.conll_words import is_no_word
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.text_lines import text_lines

_LONG = 300  # words; few sentences have as many

_Lines = list[tuple[int, list[str]]]
"""The lines of a sentence: their numbers, and the fields of each."""


def conll_table(path: Path, conll_columns: str | None = None, delimiter: str | None = None) -> Table:
    """One word a line, in columns; a blank line ends a sentence, and so does one that begins with -DOCSTART-.

    `conll_columns` names those of the word and its tag, by number from 0 (from the end: -1) or by name: of a header
    line, of `# global.columns`, or of CoNLL-U. By default they are those that a header line calls so (word or token,
    tag or ner), else the first and the last, but for a first column that numbers the words, and for a last one that
    mostly holds no tags where another does. Columns are separated by `delimiter`, by default by what most lines show:
    tabs, else blanks, else commas, semicolons or bars before a tag; most lines also tell how many columns there are.
    A line that begins with "#" is a comment if it has another number of columns, or no tag; lines before the first
    sentence that read like a title are left out, which a note tells. Multiword tokens and empty nodes (1-2, 1.1) of
    CoNLL-U are skipped.
    """
    layout = layout_of(path, conll_columns, delimiter, tagged=True)
    seen = _Seen()
    return Table(
        ("words", "tags"),
        lambda wanted: _sentences(path, layout, _sentence, seen),
        notes=tuple(layout.notes(path, conll_columns, tagged=True)),
        remarks=lambda: tuple(seen.remarks(path)),
    )


def words_table(path: Path, conll_columns: str | None = None, delimiter: str | None = None) -> Table:
    """The words of CoNLL columns, with tags beside them or not; `conll_columns` may name that of the word alone."""
    layout = layout_of(path, conll_columns, delimiter, tagged=False)
    seen = _Seen()
    return Table(
        ("words",),
        lambda wanted: _sentences(path, layout, _words, seen),
        notes=tuple(layout.notes(path, conll_columns, tagged=False)),
        remarks=lambda: tuple(seen.remarks(path)),
    )


@dataclass
class _Seen:
    """What is known of a file when all of it has been read."""

    sentences: int = 0
    words: int = 0
    comments: list[int] = field(default_factory=list)
    """Lines that were taken for comments and have not the form of one."""

    def remarks(self, path: Path) -> Iterator[str]:
        """Sentences on comments that may be words, and on a file that seems to lack blank lines."""
        if self.comments:
            count = len(self.comments)
            yield (
                f"{path}: left out {count:,} line{'s' * (count > 1)} as comments: they begin with # and have no tag or "
                f"other columns than most ({some_numbers(self.comments, 'line')})."
            )
        if self.sentences == 1 and self.words > _LONG:
            yield (
                f"{path}: no blank line in {self.words:,} lines: one sentence? A blank line after each sentence would "
                "part them."
            )


def _sentences(
    path: Path, layout: Layout, made: Callable[[_Lines, Layout], Record | BadRow], seen: _Seen
) -> Iterator[Record | BadRow]:
    sentence: _Lines = []
    no_words = {layout.header, *(number for number, _ in layout.titles)}
    for number, line in text_lines(path):
        if ends_sentence(line):
            if sentence:
                seen.sentences += 1
                yield made(sentence, layout)
            sentence = []
        elif number in no_words:
            continue
        elif layout.is_comment(line):
            if not layout.is_usual_comment(line):
                seen.comments.append(number)
        else:
            fields = layout.split(line)
            if not layout.numbered or not is_no_word(fields):
                sentence.append((number, fields))
                seen.words += 1
    if sentence:
        seen.sentences += 1
        yield made(sentence, layout)


def _sentence(lines: _Lines, layout: Layout) -> Record | BadRow:
    begins = lines[0][0]
    for number, fields in lines:
        if len(fields) < layout.width or not fields[layout.tag].strip():
            return BadRow(begins, "a word that has no tag", number)
        if len(fields) > layout.width:
            return BadRow(begins, f"{len(fields)} columns where line {layout.line} has {layout.width}", number)
        if not _word(fields, layout):
            return BadRow(begins, "a tag that has no word", number)
    words, tags = ([_word(f, layout) for _, f in lines], [f[layout.tag] for _, f in lines])
    return Record(begins, {"words": words, "tags": tags})


def _words(lines: _Lines, layout: Layout) -> Record | BadRow:
    begins = lines[0][0]
    for number, fields in lines:
        if len(fields) <= layout.word or not _word(fields, layout):
            return BadRow(begins, "a line that has no word", number)
    return Record(begins, {"words": [_word(fields, layout) for _, fields in lines]})


def _word(fields: list[str], layout: Layout) -> str:
    # A first column is as the line has it: a no-break space may be a word.
    return fields[layout.word].strip() if layout.word else fields[0]
