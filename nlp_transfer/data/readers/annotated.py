"""The words and tags of texts whose entities are marked as character spans."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from nlp_transfer.data import tag_schemes
from nlp_transfer.data.character_spans import Misaligned, to_entities, word_offsets
from nlp_transfer.data.readers.answers import is_refused
from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.readers.offsets import Counting, Votes, resolved
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.span_layouts import Layout, marks_of, peeked
from nlp_transfer.data.readers.span_places import Refusal
from nlp_transfer.errors import DataError

_SHOWN = 5  # misaligned spans in a sentence


def aligned(
    table: Table,
    source: str,
    given: tuple[str | None, str | None],
    manner: str,
    skip_bad_rows: bool,
    counting: Counting | None = None,
) -> tuple[Table, Alignment | None]:
    """A table of words and tags, of one that has texts with spans; any other table as it is, and None.

    The layouts of Label Studio, doccano, spaCy, Prodigy and brat are known, and `[start, end, type]` lists and objects
    of the same in a column of any of some names; `given` names the columns of the text and of the spans. Unless bad
    rows are to be skipped, reading a table to its end raises DataError where `manner` is strict and a span is not
    aligned. Offsets of spans without texts are read by `counting`, by default as characters; `Alignment.recount` tells
    whether that was right.
    """
    peek = peeked(table, given)
    if peek is None:
        return table, None
    head, rest, layout = peek
    if layout is None:
        # Bad rows are still to be reported.
        columns = table.columns if any(isinstance(row, Record) for row in head) else ()
        return replace(table, columns=columns, records=lambda wanted: itertools.chain(head, rest)), None
    alignment = Alignment(source, table.unit, manner, counting)

    def records(wanted: Sequence[str]) -> Iterator[Record | BadRow]:
        for record in itertools.chain(head, rest):
            yield record if isinstance(record, BadRow) else _words_and_tags(record, layout, alignment, skip_bad_rows)
        if manner == "strict" and not skip_bad_rows and not alignment.recount():
            alignment.refuse()

    note = f"{source}: texts with character spans, {layout.name}; their words are cut from the text."
    notes = table.notes if table.unit == "file" else (*table.notes, note)  # a folder of brat has said so
    return replace(table, columns=("words", "tags"), records=records, notes=notes), alignment


def is_annotated(table: Table, given: tuple[str | None, str | None]) -> bool:
    """Whether a table has texts with spans; its records are then read."""
    peek = peeked(table, given)
    return peek is not None and peek[2] is not None and peek[2].shows_spans


@dataclass
class Alignment:
    """How the spans of a source align with words, as its rows are read: `listed` has a line for each that does not.

    `refused` are the lines of spans that an annotator rejected or ignored, one for each of these.
    """

    source: str
    unit: str
    manner: str
    counting: Counting | None = None
    listed: list[str] = field(default_factory=list)
    snapped: int = 0
    lost: int = 0
    votes: Votes = field(default_factory=Votes)
    refused: list[int | str] = field(default_factory=list)

    def add(self, record: Record, text: str, misaligned: Misaligned) -> None:
        """Record a misaligned span of the text of `record`."""
        start, end, kind = misaligned.span
        around = text[max(0, start - 15) : max(0, end) + 15]
        became = f", now {text[misaligned.became.start : misaligned.became.end]!r}" if misaligned.became else ""
        place = record.file or f"{self.unit} {record.line}"
        shown = text[max(0, start) : max(0, end)]
        self.listed.append(
            f"{place}: {kind} [{start}, {end}] {_short(shown)} in {_short(around)} {misaligned.why}{became}"
        )
        self.snapped += misaligned.became is not None
        self.lost += misaligned.became is None

    def recount(self) -> Counting | None:
        """How the offsets are counted, where the rows show another way than the one by which they were read."""
        return None if self.counting else self.votes.counting()

    @property
    def summary(self) -> str:
        """The first of the spans, in words."""
        more = len(self.listed) - _SHOWN
        return "; ".join(self.listed[:_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")

    def refuse(self) -> None:
        """DataError where a span is misaligned; where there are many, a temporary file lists them all."""
        count = len(self.listed)
        if count:
            where = f" ({_listing(self.whole_list())})" if count > _SHOWN else ""
            counted = f", where offsets count {self.counting.unit}" if self.counting else self.votes.hint()
            raise DataError(
                f"{self.source} has {count:,} span{'s' * (count > 1)} that {'do' if count > 1 else 'does'} not align "
                f"with words{counted}: {self.summary}{where}. Mend {'them' if count > 1 else 'it'}, or give "
                "--misaligned snap, which widens a span to whole words, or drop, which leaves it out; of spans that "
                "overlap both keep the longest."
            )

    def whole_list(self) -> tuple[str, ...]:
        """A line for each of the spans: the source, the row, type and offsets, the text, and why."""
        return tuple(f"{self.source}, {line}" for line in self.listed)

    def notes(self) -> tuple[str, ...]:
        """Notes for the user on spans that were changed, and on how offsets were read."""
        return (*self._notes_on_offsets(), *self._notes_on_misaligned())

    def _notes_on_offsets(self) -> Iterator[str]:
        if self.counting:
            count = self.votes.shown[self.counting.unit]
            yield (
                f"{self.source}: its offsets count {self.counting.unit}: the spans of {count:,} row{'s' * (count > 1)} "
                "fall on words so, and not in characters; all are read so."
            )
        if self.refused:
            count, rows = len(self.refused), list(dict.fromkeys(self.refused))
            yield (
                f"{self.source}: left out {count:,} span{'s' * (count > 1)} that an annotator rejected or ignored "
                f"({some_numbers(rows, self.unit)})."
            )

    def _notes_on_misaligned(self) -> tuple[str, ...]:
        if not self.listed:
            return ()
        where = " (the run lists all in misaligned.txt)" if len(self.listed) > _SHOWN else ""
        if self.manner == "strict":
            return (
                f"{self.source}: the rows left out have spans that do not align with words: {self.summary}{where}.",
            )
        parts = []
        if self.snapped:
            parts.append(f"widened {self.snapped:,} span{'s' * (self.snapped > 1)} to whole words")
        if self.lost:
            parts.append(
                f"left out {self.lost:,} that do not align with words (of overlapping spans the longest was kept)"
            )
        return (f"{self.source}: {' and '.join(parts)}: {self.summary}{where}.",)


def _words_and_tags(record: Record, layout: Layout, alignment: Alignment, skip_bad_rows: bool) -> Record | BadRow:
    at = record.file or record.line
    read = layout.read(record.values)
    if isinstance(read, Refusal):
        return BadRow(record.line, read.fault, at, read.is_meant)
    text = read.text
    if not isinstance(text, str) or not text.strip():
        return BadRow(record.line, "no text", at)
    kept = [one for one in read.spans if not is_refused(one)]
    marks = marks_of(kept)
    spans = marks if isinstance(marks, str) else resolved(text, marks, alignment.counting)
    if isinstance(marks, str) or isinstance(spans, str):
        return BadRow(record.line, str(spans), at)
    offsets = word_offsets(text)
    alignment.votes.add(text, marks, offsets)
    alignment.refused += [at] * (len(read.spans) - len(kept))
    entities, misaligned = to_entities(text, spans[0], offsets, alignment.manner)
    misaligned += spans[1]
    for span in misaligned:
        alignment.add(record, text, span)
    if misaligned and alignment.manner == "strict" and skip_bad_rows:
        return BadRow(record.line, "a span that does not align with words", at)
    words = [text[start:end] for start, end in offsets]
    return record._replace(values={"words": words, "tags": tag_schemes.tags(entities, len(words), "IOB2")})


def _listing(lines: Sequence[str]) -> str:
    # The folder of a run that stops does not stay, and where the data is one may not be allowed to write.
    if int(os.environ.get("RANK", "0")):  # the first process reports
        return ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix="misaligned-", suffix=".txt", delete=False
        ) as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        return f"all could not be listed in {tempfile.gettempdir()}: {error.strerror}"
    return f"all are listed in {file.name}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:30]} ... {text[-25:]}")
