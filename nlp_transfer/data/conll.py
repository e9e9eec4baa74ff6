"""What sentences does a file of CoNLL columns hold?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nlp_transfer.data.forms import BadRow, Record, Table, is_blank, text_lines
from nlp_transfer.errors import DataError


def conll_table(path: Path) -> Table:
    """One word a line, the word in the first column and its tag in the last; a blank line ends a sentence.

    Columns stand apart by tabs, or, where the first word's line has no tab, by spaces.
    """
    layout = _layout(path, columns=2)
    return Table(("words", "tags"), lambda wanted: _sentences(path, layout, _sentence))


def words_table(path: Path) -> Table:
    """The words of CoNLL columns: the first column, whether others stand beside it or not."""
    layout = _layout(path, columns=1)
    return Table(("words",), lambda wanted: _sentences(path, layout, _words))


class _Layout(NamedTuple):
    split: Callable[[str], list[str]]
    width: int
    line: int  # the line that shows it


def _layout(path: Path, columns: int) -> _Layout:
    empty = True
    for number, line in text_lines(path):
        if _ends_sentence(line) or line.startswith("# "):
            continue
        empty = False
        split = _by_tabs if "\t" in line.strip() else _by_spaces
        if (width := len(split(line))) >= columns:
            return _Layout(split, width, number)
    if empty:
        raise DataError(f"{path} holds no words; give a file with a word and its tag on each line.")
    raise DataError(f"{path} has no line with two columns; write a word, a tab and its tag on each line.")


def _by_tabs(line: str) -> list[str]:
    first, *rest = line.rstrip("\r\n").split("\t")
    return [first, *(field.strip() for field in rest)]


def _by_spaces(line: str) -> list[str]:
    return re.split(r"[ \t]+", line.strip(" \t\r\n"))  # not str.split: a no-break space may be a word


def _sentences(
    path: Path, layout: _Layout, made: Callable[[list[tuple[int, list[str]]], _Layout], Record | BadRow]
) -> Iterator[Record | BadRow]:
    sentence: list[tuple[int, list[str]]] = []
    for number, line in text_lines(path):
        if _ends_sentence(line):
            if sentence:
                yield made(sentence, layout)
            sentence = []
        elif not _is_comment(line, layout):
            sentence.append((number, layout.split(line)))
    if sentence:
        yield made(sentence, layout)


def _ends_sentence(line: str) -> bool:
    return is_blank(line) or line.startswith("-DOCSTART-")


def _is_comment(line: str, layout: _Layout) -> bool:
    # '#' is a word on Twitter: where spaces separate, a line that has a word's columns and a tag is no comment.
    if not line.startswith("# ") or "\t" in line:
        return False
    fields = layout.split(line)
    return len(fields) != layout.width or not re.fullmatch("O|[BIESLU]-.+", fields[-1])


def _sentence(lines: list[tuple[int, list[str]]], layout: _Layout) -> Record | BadRow:
    begins = lines[0][0]
    for number, fields in lines:
        if len(fields) < layout.width or not fields[-1]:
            return BadRow(begins, "a word that has no tag", number)
        if len(fields) > layout.width:
            return BadRow(begins, f"{len(fields)} columns where line {layout.line} has {layout.width}", number)
        if not fields[0]:
            return BadRow(begins, "a tag that has no word", number)
    return Record(begins, {"words": [f[0] for _, f in lines], "tags": [f[-1] for _, f in lines]})


def _words(lines: list[tuple[int, list[str]]], layout: _Layout) -> Record | BadRow:
    begins = lines[0][0]
    without = next((number for number, fields in lines if not fields[0]), None)
    if without is not None:
        return BadRow(begins, "a line that has no word", without)
    return Record(begins, {"words": [fields[0] for _, fields in lines]})
