"""Doubts about quotes in delimited files: does one open a field, or belong to the text?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.errors import DataError


@dataclass
class LineCounts:
    """What the rows of a file tell about its quotes, and how many lines they took."""

    path: Path
    delimiter: str
    width: int
    rows: int = 0
    blank: int = 0
    lines: int = 0
    """Without those of the header."""
    long_rows: list[int] = field(default_factory=list)
    """Where rows of several lines begin."""
    doubtful: list[tuple[int, int]] = field(default_factory=list)
    """The first and the last line of rows that may as well be one row for each of their lines."""
    opening: int = 0
    """Rows of one line in which a field begins with a quote."""
    is_quoted: bool = False
    """Whether a row of the file, or its header, can be read by taking quotes as quotes alone."""

    def add(self, begins: int, pieces: Sequence[str], *, is_row: bool) -> None:
        """A row, or where it is none a blank one, that the reader made of the lines `pieces`."""
        self.lines += len(pieces)
        if not is_row:
            self.blank += len(pieces)
            return
        self.rows += 1
        if len(pieces) > 1:
            self.long_rows.append(begins)
            if self._are_rows(pieces):
                self.doubtful.append((begins, begins + len(pieces) - 1))
                return
        self.is_quoted = self.is_quoted or len(pieces) > 1 or self._needs_quotes(pieces[0])
        self.opening += f'{self.delimiter}"' in pieces[0] or pieces[0][0] == '"'

    def header(self, pieces: Sequence[str]) -> None:
        """The lines of the header."""
        self.is_quoted = len(pieces) > 1 or self._needs_quotes(pieces[0])

    def refuse(self) -> None:
        """DataError where rows are doubtful, and nothing in the file says that its quotes are quotes."""
        others = self.rows - len(self.doubtful)
        if self.doubtful and not self.is_quoted and not (others and self.opening >= 0.9 * others):
            first, last = self.doubtful[0]
            more = f" (and {len(self.doubtful) - 1:,} more such)" if len(self.doubtful) > 1 else ""
            raise DataError(
                f"{self.path}, line {first}: a quote opens here and closes in line {last}{more}: this is one row if "
                f"quotes hold fields together, and {last - first + 1} rows if they belong to the text; give --quoting "
                "csv for the former, --quoting none for the latter."
            )

    def remarks(self) -> tuple[str, ...]:
        """A sentence where lines and rows differ in number, and one on rows that are doubtful."""
        remarks = []
        if self.long_rows or self.blank:
            parts = []
            if self.long_rows:
                count = len(self.long_rows)
                several = f"{count:,} row{'s run' if count > 1 else ' runs'} over several"
                parts.append(f"{several} ({some_numbers(self.long_rows, 'line')})")
            if self.blank:
                parts.append(f"{self.blank:,} {'are' if self.blank > 1 else 'is'} blank")
            remarks.append(f"{self.path}: {self.lines:,} lines give {self.rows:,} rows: {', '.join(parts)}.")
        if self.doubtful:
            places = some_numbers([first for first, _ in self.doubtful], "line")
            remarks.append(
                f"{self.path}: each line of the rows at {places} would be a row as well, if quotes belonged to the "
                "text; --quoting none reads them so."
            )
        return tuple(remarks)

    def _are_rows(self, pieces: Sequence[str]) -> bool:
        fitting = [piece.count(self.delimiter) == self.width - 1 for piece in pieces]
        return fitting[0] and fitting[-1] and 2 * sum(fitting) >= len(fitting)

    def _needs_quotes(self, piece: str) -> bool:
        """Whether a line has its width only with quotes as quotes, or has them around each field."""
        if '"' not in piece:
            return False
        line = piece.rstrip("\r\n")
        parts = line.count(f'"{self.delimiter}"')
        around_each = len(line) > 1 and line[0] == line[-1] == '"' and parts >= self.width - 1
        return around_each or piece.count(self.delimiter) != self.width - 1
