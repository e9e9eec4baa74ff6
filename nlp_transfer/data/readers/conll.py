"""Sentences of CoNLL files: a word and its tag on each line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nlp_transfer.data.readers.delimited import delimiter_named
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.text_lines import is_blank, text_lines
from nlp_transfer.errors import DataError, OptionError

_TAG = re.compile("O|[BIESLU]-.+", re.DOTALL)
_COMMENT = re.compile("# |#(begin|end) document")
_UNIVERSAL = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")  # of CoNLL-U
_WORDS, _TAGS = ("form", "word", "token", "words", "tokens"), ("ner", "tag", "ner_tag", "tags", "label", "entity")
_SHOWN = 1000  # lines of words that show the layout


def conll_table(path: Path, conll_columns: str | None = None, delimiter: str | None = None) -> Table:
    """One word a line, in columns; a blank line ends a sentence, and so does one that begins with -DOCSTART-.

    `conll_columns` names those of the word and its tag, by number from 0 (from the end: -1) or by name: of a header
    line, of `# global.columns`, or of CoNLL-U. By default they are those that a header line calls so (word or token,
    tag or ner), else the first and the last, but for a first column that numbers the words, and for a last one that
    mostly holds no tags where another does. Columns are separated by `delimiter`; by default by tabs, or, where the
    first word's line has no tab, by blanks, or by commas, semicolons or bars where that gives a tag. Comments begin
    with "# "; multiword tokens and empty nodes (1-2, 1.1) of CoNLL-U are skipped.
    """
    layout = _layout(path, conll_columns, delimiter, tagged=True)
    return Table(
        ("words", "tags"), lambda wanted: _sentences(path, layout, _sentence), notes=_notes(path, layout, conll_columns)
    )


def words_table(path: Path, conll_columns: str | None = None, delimiter: str | None = None) -> Table:
    """The words of CoNLL columns, with tags beside them or not; `conll_columns` may name that of the word alone."""
    layout = _layout(path, conll_columns, delimiter, tagged=False)
    return Table(("words",), lambda wanted: _sentences(path, layout, _words))


class _Layout(NamedTuple):
    split: Callable[[str], list[str]]
    mark: str  # the separator of columns, in words
    width: int
    line: int  # the line that shows it
    word: int = 0
    tag: int = -1
    numbered: bool = False  # the first column numbers the words
    header: int = 0  # the line that names the columns


def _notes(path: Path, layout: _Layout, columns: str | None) -> tuple[str, ...]:
    if layout.header and not columns:
        tag = layout.tag % layout.width
        return (f"{path}: line {layout.header} names the columns; words are column {layout.word}, tags column {tag}.",)
    if columns or (layout.word, layout.tag, layout.mark) in ((0, -1, "tabs"), (0, -1, "blanks")):
        return ()
    tag = layout.tag % layout.width
    return (f"{path}: columns are separated by {layout.mark}; words are column {layout.word}, tags column {tag}.",)


def _layout(path: Path, columns: str | None, delimiter: str | None, *, tagged: bool) -> _Layout:
    delimiter = delimiter_named(delimiter) if delimiter else None
    needed = 2 if tagged else 1
    names: list[str] = []
    shown: list[tuple[int, str]] = []
    for number, line in text_lines(path):
        if line.startswith("# global.columns"):
            names = line.partition("=")[2].split()
        elif _ends_sentence(line):
            shown.append((number, ""))
        elif not _COMMENT.match(line):
            shown.append((number, line))
        if len(shown) > _SHOWN:
            break
    if not any(line for _, line in shown):
        raise DataError(f"{path} holds no words; give a file with a word and its tag on each line.")
    fits = (place for place, (_, line) in enumerate(shown) if line and _width(line, delimiter, tagged) >= needed)
    if (place := next(fits, None)) is None:
        raise DataError(f"{path} has no line with two columns; write a word, a tab and its tag on each line.")
    line_number, line = shown[place]
    split, mark = _splitter(line, delimiter, tagged)
    width = len(split(line))
    rows = [split(line) if line else [] for _, line in shown]
    first = next(place for place, fields in enumerate(rows) if len(fields) == width)
    header = 0
    if not names and _names_columns(rows[first]):
        names, rows[first], header = rows[first], [], shown[first][0]
    layout = _Layout(split, mark, width, line_number, numbered=width > 2 and _numbers_words(rows), header=header)
    if not columns:
        return _detected(layout, names, rows)
    return _named(path, columns, layout, names, shown[first][0], rows[first])


def _splitter(line: str, delimiter: str | None, tagged: bool) -> tuple[Callable[[str], list[str]], str]:
    """The function that splits a line into columns, detected from one, and their separator in words."""
    names = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars", " ": "blanks"}
    mark = delimiter or ("\t" if "\t" in line.strip() else " ")
    if tagged and not delimiter and mark == " " and len(_by_blanks(line)) < 2:
        mark = next((m for m in ",;|" if m in line.strip() and _TAG.fullmatch(_by_mark(line, m)[-1])), " ")
    return _by_blanks if mark == " " else partial(_by_mark, mark=mark), names.get(mark, repr(mark))


def _width(line: str, delimiter: str | None, tagged: bool) -> int:
    return len(_splitter(line, delimiter, tagged)[0](line))


def _by_mark(line: str, mark: str) -> list[str]:
    first, *rest = line.rstrip("\r\n").split(mark)
    return [first, *(field.strip() for field in rest)]


def _by_blanks(line: str) -> list[str]:
    return re.split(r"[ \t]+", line.strip(" \t\r\n"))  # not str.split: a no-break space may be a word


def _names_columns(fields: list[str]) -> bool:
    """Whether a line is a header: it calls a column of its words so, and another its tags."""
    names = {field.lower() for field in fields}
    return not names.isdisjoint(_WORDS) and not names.isdisjoint(_TAGS)


def _numbers_words(rows: list[list[str]]) -> bool:
    """Whether the first column counts the words of every sentence, from 0 or 1."""
    due: int | None = None
    counted = 0
    for fields in rows:
        if not fields:
            due = None
        elif not _is_no_word(fields):
            if fields[0] not in (("0", "1") if due is None else (str(due),)):
                return False
            counted += due is not None
            due = int(fields[0]) + 1
    return counted > 0


def _is_no_word(fields: list[str]) -> bool:
    return bool(re.fullmatch(r"\d+[-.]\d+", fields[0]))


def _detected(layout: _Layout, names: list[str], rows: list[list[str]]) -> _Layout:
    by_name = [name.lower().rpartition(":")[2] for name in names] if len(names) == layout.width else []
    word = next((by_name.index(name) for name in _WORDS if name in by_name), int(layout.numbered))
    tag = next((by_name.index(name) for name in _TAGS if name in by_name), None)
    if tag is None:
        whole = [f for f in rows if len(f) == layout.width and not (layout.numbered and _is_no_word(f))]
        shares = [
            sum(bool(_TAG.fullmatch(fields[i])) for fields in whole) / max(1, len(whole)) for i in range(layout.width)
        ]
        others = [i for i in range(word + 1, layout.width) if shares[i] == 1]
        tag = others[-1] if shares[-1] < 0.5 and others else -1
    return layout._replace(word=word, tag=-1 if tag == layout.width - 1 else tag)


def _named(path: Path, columns: str, layout: _Layout, names: list[str], line: int, first: list[str]) -> _Layout:
    given = [name.strip() for name in columns.split(",")]
    if not 1 <= len(given) <= 2 or not all(given):
        raise OptionError(
            f"--conll_columns takes the columns of the word and of its tag, such as 0,3 or FORM,NER; got {columns!r}."
        )
    header = layout.header
    if not all(re.fullmatch(r"-?\d{1,9}", name) for name in given):
        if not names and {name.lower() for name in given} <= {field.lower() for field in first}:
            names, header = first, line
        elif not names and layout.width == len(_UNIVERSAL):
            names = list(_UNIVERSAL)
    places = [_column(path, name, names, layout.width) for name in given]
    tag = places[1] if len(places) == 2 else -1
    if len(places) == 2 and places[0] == tag:
        raise OptionError(
            f"--conll_columns {columns} names one column twice; name that of the word and that of its tag."
        )
    return layout._replace(word=places[0], tag=tag, header=header, numbered=layout.numbered and 0 not in places)


def _column(path: Path, name: str, names: Sequence[str], width: int) -> int:
    if re.fullmatch(r"-?\d{1,9}", name):
        if not -width <= int(name) < width:
            raise DataError(f"{path} has {width} columns, so none is {name}; mend --conll_columns (the first is 0).")
        return int(name) % width
    by_name = [known.lower() for known in names]
    if name.lower() not in by_name[:width]:
        listed = f"its columns are: {', '.join(names)}" if names else "it does not name its columns"
        raise DataError(f"{path} has no column '{name}'; {listed}. Give numbers to --conll_columns, the first is 0.")
    return by_name.index(name.lower())


def _sentences(
    path: Path, layout: _Layout, made: Callable[[list[tuple[int, list[str]]], _Layout], Record | BadRow]
) -> Iterator[Record | BadRow]:
    sentence: list[tuple[int, list[str]]] = []
    for number, line in text_lines(path):
        if _ends_sentence(line):
            if sentence:
                yield made(sentence, layout)
            sentence = []
        elif number != layout.header and not _is_comment(line, layout):
            fields = layout.split(line)
            if not layout.numbered or not _is_no_word(fields):
                sentence.append((number, fields))
    if sentence:
        yield made(sentence, layout)


def _ends_sentence(line: str) -> bool:
    return is_blank(line) or line.startswith("-DOCSTART-")


def _is_comment(line: str, layout: _Layout) -> bool:
    # '#' is a word on Twitter: where blanks separate, a line that has a word's columns and a tag is no comment.
    if not _COMMENT.match(line) or "\t" in line:
        return False
    fields = layout.split(line)
    return len(fields) != layout.width or not _TAG.fullmatch(fields[layout.tag])


def _sentence(lines: list[tuple[int, list[str]]], layout: _Layout) -> Record | BadRow:
    begins = lines[0][0]
    for number, fields in lines:
        if len(fields) < layout.width or not fields[layout.tag]:
            return BadRow(begins, "a word that has no tag", number)
        if len(fields) > layout.width:
            return BadRow(begins, f"{len(fields)} columns where line {layout.line} has {layout.width}", number)
        if not fields[layout.word]:
            return BadRow(begins, "a tag that has no word", number)
    return Record(begins, {"words": [f[layout.word] for _, f in lines], "tags": [f[layout.tag] for _, f in lines]})


def _words(lines: list[tuple[int, list[str]]], layout: _Layout) -> Record | BadRow:
    begins = lines[0][0]
    for number, fields in lines:
        if len(fields) <= layout.word or not fields[layout.word]:
            return BadRow(begins, "a line that has no word", number)
    return Record(begins, {"words": [fields[layout.word] for _, fields in lines]})
