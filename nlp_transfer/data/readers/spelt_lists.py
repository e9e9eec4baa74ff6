"""Lists of words, tags and spans that a table spells in cells of text."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nlp_transfer.data.readers.columns import TAGS, WORDS
from nlp_transfer.data.readers.list_cells import list_in
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.span_layouts import SPANS, is_of_label_studio

_PEEKED = 100  # rows that show what cells spell
_TAG = re.compile(r"O|o|[BIESLUbiesl]-\S+")


def with_lists(table: Table, source: str, given: Sequence[str | None]) -> Table:
    """The table with lists in place of texts that spell them, as Python, JSON and NumPy do, in columns of lists.

    Those are the ones that are `given` or have a usual name of words, tags or spans, and whose first cells mostly spell
    lists; of an export of Label Studio they may have any name. A remark tells which they were.
    """
    known = {*WORDS.known, *TAGS.known, *SPANS}
    names = [name for name in table.columns if name in given or name.lower() in known]
    if is_of_label_studio(table.columns):
        names = list(table.columns)
    if not names:
        return table
    spelt = _Spelt(source)
    return replace(
        table,
        records=lambda wanted: spelt.read(table.records(wanted), names),
        remarks=lambda: (*table.remarks(), *spelt.remarks()),
    )


@dataclass
class _Spelt:
    """The columns of a source whose cells spell lists, and what writes lists so."""

    source: str
    styles: dict[str, Counter[str]] = field(default_factory=dict)

    def read(self, records: Iterator[Record | BadRow], names: Sequence[str]) -> Iterator[Record | BadRow]:
        head = list(itertools.islice(records, _PEEKED))
        for name in names:
            cells = [record.values.get(name) for record in head if isinstance(record, Record)]
            there = [cell for cell in cells if cell not in (None, "")]
            spelt = [cell for cell in there if isinstance(cell, str) and list_in(cell)]
            if 2 * len(spelt) > len(there):
                self.styles[name] = Counter()
        for record in itertools.chain(head, records):
            if isinstance(record, Record) and self.styles:
                yield record._replace(values={**record.values, **self._lists(record)})
            else:
                yield record

    def _lists(self, record: Record) -> dict[str, list[Any]]:
        lists = {}
        for name, styles in self.styles.items():
            cell = record.values.get(name)
            spelt = list_in(cell) if isinstance(cell, str) else None
            if spelt is not None:
                lists[name] = spelt.values
                styles[spelt.style] += bool(spelt.values)
        return lists

    def remarks(self) -> Iterator[str]:
        """A sentence on the columns that are read as lists."""
        if not self.styles:
            return
        names = " and ".join(f"'{name}'" for name in self.styles)
        styles = sorted({style for counts in self.styles.values() for style, count in counts.items() if count})
        writers = f"{' and '.join(styles or ['JSON'])} write{'s' * (len(styles) < 2)}"
        spell, are = ("columns {} spell", "are") if len(self.styles) > 1 else ("column {} spells", "is")
        yield f"{self.source}: {spell.format(names)} lists as {writers} them, and {are} read so."


def are_parted_by_blanks(rows: Sequence[Mapping[str, Any]], words: str, tags: str) -> bool:
    """Whether the columns of words and tags hold texts with a tag for each word, and blanks between.

    The rows have as many words as tags, but for one of ten, and most of the latter are O or have a prefix.
    """
    texts = [(row.get(words), row.get(tags)) for row in rows]
    pairs = [(some.split(), spelt.split()) for some, spelt in texts if isinstance(some, str) and isinstance(spelt, str)]
    fitting = [spelt for some, spelt in pairs if len(some) == len(spelt)]
    every = [tag for spelt in fitting for tag in spelt]
    if len(fitting) < 0.9 * len(pairs) or not any(len(spelt) > 1 for spelt in fitting):
        return False
    return 2 * sum(bool(_TAG.fullmatch(tag)) for tag in every) > len(every)


def parted_by_blanks(records: Iterator[Record | BadRow], names: Sequence[str]) -> Iterator[Record | BadRow]:
    """The records with lists in place of the texts in the columns `names`."""
    for record in records:
        if isinstance(record, Record):
            cells = {name: record.values.get(name) for name in names}
            lists = {name: cell.split() for name, cell in cells.items() if isinstance(cell, str)}
            yield record._replace(values={**record.values, **lists})
        else:
            yield record
