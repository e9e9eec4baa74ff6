"""The layout of CoNLL columns: what separates them, how many there are, and which hold the word and its tag."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.readers.conll_titles import titles_of
from nlp_transfer.data.readers.conll_words import first_word_column, is_no_word, numbers_words
from nlp_transfer.data.readers.delimited import delimiter_named
from nlp_transfer.data.readers.text_lines import is_blank, text_lines
from nlp_transfer.data.tag_schemes import TAG
from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.system.text import cut

_COMMENT = re.compile("# |#(begin|end) document")
_UNIVERSAL = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")  # of CoNLL-U
_WORDS, _TAGS = ("form", "word", "token", "words", "tokens"), ("ner", "tag", "ner_tag", "tags", "label", "entity")
_MARKS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars", " ": "blanks"}
_SHOWN = 1000  # lines of words that show the layout


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are read.

    `mark` is the separator of columns, in words, and `line` the first one of the usual `width`. `header` is the line
    that names the columns, `titles` are lines before the first sentence that are no words. `tags` are the tags of the
    lines that show the layout, `others` the columns that hold tags and are not read.
    """

    split: Callable[[str], list[str]]
    mark: str
    width: int
    line: int
    word: int = 0
    tag: int = -1
    numbered: bool = False  # the first column numbers the words
    header: int = 0
    titles: tuple[tuple[int, str], ...] = ()
    tags: frozenset[str] = frozenset()
    others: tuple[int, ...] = ()

    def is_comment(self, line: str) -> bool:
        """Whether a line is a comment, which begins with '#', and not a word that does, as on Twitter.

        A word has the usual number of columns, and a tag of the scheme or one that other words have.
        """
        if not line.startswith("#"):
            return False
        if self.width == 1:
            return bool(_COMMENT.match(line))
        fields = self.split(line)
        if len(fields) != self.width:
            return True
        if not _COMMENT.match(line) and line[1:2].strip():  # a hashtag, whatever its tag is
            return False
        tag = fields[self.tag].strip()
        return not TAG.fullmatch(tag) and tag not in self.tags

    def is_usual_comment(self, line: str) -> bool:
        """Whether a comment is one by its form alone."""
        return bool(_COMMENT.match(line)) and "\t" not in line

    def notes(self, path: Path, columns: str | None, *, tagged: bool) -> Iterator[str]:
        """Sentences for the user on what is not plain; `columns` are those that he names himself."""
        tag = self.tag % self.width
        if self.titles:
            numbers = [number for number, _ in self.titles]
            are = "are no words with tags, and are" if len(numbers) > 1 else "is no word with its tag, and is"
            yield f"{path}: {some_numbers(numbers, 'line')} {are} left out: {cut(self.titles[0][1], 60)!r}."
        if columns or not tagged:
            return
        if self.header:
            yield f"{path}: line {self.header} names the columns; words are column {self.word}, tags column {tag}."
        elif (self.word, self.tag, self.mark) not in ((0, -1, "tabs"), (0, -1, "blanks")):
            yield f"{path}: columns are separated by {self.mark}; words are column {self.word}, tags column {tag}."
        if self.others and not self.header:
            both = ", ".join(map(str, self.others))
            yield (
                f"{path}: {'columns' if len(self.others) > 1 else 'column'} {both} could be tags too; those of column "
                f"{tag} are read (--conll_columns {self.word},{self.others[-1]} names another)."
            )


def layout_of(path: Path, columns: str | None, delimiter: str | None, *, tagged: bool) -> Layout:
    """The layout that most of the first lines show, with the columns that `columns` names. DataError and OptionError.

    Lines that begin with '#' have no say, unless all do.
    """
    delimiter = delimiter_named(delimiter) if delimiter else None
    names, shown = _first_lines(path)
    said = [line for _, line in shown if line and not line.startswith("#")]
    said = said or [line for _, line in shown if line and (not _COMMENT.match(line) or TAG.fullmatch(line.split()[-1]))]
    if not said:
        raise DataError(f"{path} holds no words; give a file with a word and its tag on each line.")
    split, mark = _splitter(said, delimiter)
    widths = Counter(width for width in (len(split(line)) for line in said) if width > 1)
    if tagged and not widths:
        raise DataError(f"{path} has no line with two columns; write a word, a tab and its tag on each line.")
    if not tagged and 2 * widths.total() <= len(said):
        split, widths = _whole, Counter({1: len(said)})  # words alone
    width = max(widths, key=lambda width: widths[width])
    has_marks = any(not line.startswith("#") and len(split(line)) == width for line in said)
    rows = [split(line) if line and not (has_marks and line.startswith("#")) else [] for _, line in shown]
    titles = titles_of(shown, split, width) if width > 1 else ()
    whole_lines = {number for (number, _), fields in zip(shown, rows, strict=True) if len(fields) == width}
    if whole_lines <= {number for number, _ in titles}:
        titles = ()
    rows = [[] if (number, line.strip()) in titles else f for (number, line), f in zip(shown, rows, strict=True)]
    first = next(place for place, fields in enumerate(rows) if len(fields) == width)
    header = 0
    if not names and _names_columns(rows[first], tagged):
        names, rows[first], header = [field.strip() for field in rows[first]], [], shown[first][0]
    layout = Layout(
        split,
        mark,
        width,
        line=shown[first][0],
        numbered=width > 1 + tagged and numbers_words(rows[first:]),
        header=header,
        titles=titles,
    )
    whole = [fields for fields in rows if len(fields) == width and not (layout.numbered and is_no_word(fields))]
    if columns:
        layout = _named(path, columns, layout, names, shown[first][0], rows[first])
    else:
        layout = _detected(path, layout, names, whole, rows[first:], tagged)
    return replace(layout, tags=frozenset(fields[layout.tag].strip() for fields in whole))


def ends_sentence(line: str) -> bool:
    """Whether a line is no word but the end of a sentence, or the beginning of a document."""
    return is_blank(line) or line.startswith("-DOCSTART-")


def column_named(path: Path, name: str, names: Sequence[str], width: int) -> int:
    """The place of a column, of a number (from the end where it is negative) or a name. DataError if there is none."""
    if _is_number(name):
        if not -width <= int(name) < width:
            raise DataError(f"{path} has {width} columns, so none is {name}; mend --conll_columns (the first is 0).")
        return int(name) % width
    by_name = [known.lower() for known in names]
    if name.lower() not in by_name[:width]:
        listed = f"its columns are: {', '.join(names)}" if names else "it does not name its columns"
        raise DataError(f"{path} has no column '{name}'; {listed}. Give numbers to --conll_columns, the first is 0.")
    return by_name.index(name.lower())


def columns_given(columns: str) -> list[str]:
    """The names or numbers of the word's column and, if given, of the tag's. OptionError."""
    given = [name.strip() for name in columns.split(",")]
    if not 1 <= len(given) <= 2 or not all(given):
        raise OptionError(
            f"--conll_columns takes the columns of the word and of its tag, such as 0,3 or FORM,NER; got {columns!r}."
        )
    return given


def refuse_one_column(columns: str, places: Sequence[int]) -> None:
    """OptionError where the columns of the word and of its tag are one."""
    if len(places) == 2 and places[0] == places[1]:
        raise OptionError(
            f"--conll_columns {columns} names one column twice; name that of the word and that of its tag."
        )


def _first_lines(path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """The names of the columns, where a comment tells them, and the first lines; what ends a sentence is empty."""
    names: list[str] = []
    shown: list[tuple[int, str]] = []
    said = 0
    for number, line in text_lines(path):
        if line.startswith("# global.columns"):
            names = line.partition("=")[2].split()
        shown.append((number, "" if ends_sentence(line) else line))
        said += not line.startswith("#")
        if said > _SHOWN:
            break
    return names, shown


def _splitter(lines: Sequence[str], delimiter: str | None) -> tuple[Callable[[str], list[str]], str]:
    """The function that splits a line into columns, as most lines show, and their separator in words."""
    marks = Counter(mark for mark in map(_mark, lines) if mark)
    mark = delimiter or max(marks, key=lambda mark: marks[mark], default=" ")
    return _by_blanks if mark == " " else partial(_by_mark, mark=mark), _MARKS.get(mark, repr(mark))


def _mark(line: str) -> str | None:
    """What separates the columns of a line; None where it has one column."""
    if "\t" in line.strip():
        return "\t"
    fields = _by_blanks(line)
    if len(fields) > 1 and TAG.fullmatch(fields[-1]):
        return " "
    other = next((m for m in ",;|" if m in line.strip() and TAG.fullmatch(_by_mark(line, m)[-1])), None)
    return other or (" " if len(fields) > 1 else None)


def _by_mark(line: str, mark: str) -> list[str]:
    first, *rest = line.rstrip("\r\n").split(mark)
    # Blanks beside a comma part columns too; beside a tab they belong to the tag, and are told.
    return [first, *(field if mark == "\t" else field.strip() for field in rest)]


def _by_blanks(line: str) -> list[str]:
    return re.split(r"[ \t]+", line.strip(" \t\r\n"))  # not str.split: a no-break space may be a word


def _whole(line: str) -> list[str]:
    return [line.strip(" \t\r\n")]


def _names_columns(fields: Sequence[str], tagged: bool) -> bool:
    """Whether a line is a header: it calls a column of its words so, and where there are tags another one these."""
    names = {field.strip().lower() for field in fields}
    if not tagged:
        return len(fields) > 1 and not names.isdisjoint(_WORDS)
    return not names.isdisjoint(_WORDS) and not names.isdisjoint(_TAGS)


def _detected(
    path: Path,
    layout: Layout,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    parted: Sequence[Sequence[str]],
    tagged: bool,
) -> Layout:
    by_name = [name.strip().lower().rpartition(":")[2] for name in names] if len(names) == layout.width else []
    places = layout.width - 1 if tagged and layout.width > 2 else layout.width
    first = int(layout.numbered) or first_word_column(parted, layout.width, places) if layout.width > 1 + tagged else 0
    word = next((by_name.index(name) for name in _WORDS if name in by_name), first)
    tag = next((by_name.index(name) for name in _TAGS if name in by_name), None)
    shares = [_share(rows, column) for column in range(layout.width)]
    if tag is None:
        others = [column for column in range(word + 1, layout.width) if shares[column] == 1]
        marking = [column for column in others if any(fields[column].strip() != "O" for fields in rows)]
        tag = (marking or others)[-1] if others and (shares[-1] < 0.5 or marking) else layout.width - 1
        if shares[word] > 0.5 > shares[tag] and any(fields[word] != "O" for fields in rows):
            raise DataError(
                f"{path}: column {word}, where the words are looked for, holds tags ({rows[0][word]!r} in line "
                f"{layout.line}); name the columns of the word and of its tag: --conll_columns {tag},{word}"
            )
    more = [c for c in range(layout.width) if c not in (word, tag) and shares[c] == 1 and c >= int(layout.numbered)]
    some = [c for c in more if any(fields[c].strip() != "O" for fields in rows)]
    return replace(layout, word=word, tag=-1 if tag == layout.width - 1 else tag, others=tuple(some))


def _share(rows: Sequence[Sequence[str]], column: int) -> float:
    """The share of rows that have a tag in a column."""
    return sum(bool(TAG.fullmatch(fields[column].strip())) for fields in rows) / max(1, len(rows))


def _named(path: Path, columns: str, layout: Layout, names: Sequence[str], line: int, first: Sequence[str]) -> Layout:
    given = columns_given(columns)
    header = layout.header
    if not all(map(_is_number, given)):
        if not names and {name.lower() for name in given} <= {field.strip().lower() for field in first}:
            names, header = first, line
        elif not names and layout.width == len(_UNIVERSAL):
            names = _UNIVERSAL
    places = [column_named(path, name, names, layout.width) for name in given]
    refuse_one_column(columns, places)
    tag = places[1] if len(places) == 2 else -1
    return replace(layout, word=places[0], tag=tag, header=header, numbered=layout.numbered and 0 not in places)


def _is_number(name: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,9}", name))
