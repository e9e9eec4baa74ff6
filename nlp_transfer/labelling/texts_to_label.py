"""Raw texts to be labelled, each once, under an id that is made from the text itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from nlp_transfer.config import LabellingOptions, PredictionOptions
from nlp_transfer.data.prediction_rows import open_texts

_DIGITS = 12  # of an id in hexadecimal: two of 100,000 texts share one with a chance of 1 in 50,000
CHECK_SHARE = 0.1
"""The share of texts that are kept apart to check the score."""


class RawText(NamedTuple):
    """A text, its id, and the line of the file where it stands first."""

    id: str
    text: str
    line: int


class RawTexts(NamedTuple):
    """The texts of a file, each once: `repeats` further rows had the text of an earlier one."""

    texts: list[RawText]
    repeats: int
    skipped: int
    notes: tuple[str, ...]


def id_of(text: str) -> str:
    """The id of a text, the same in every file and at every time; texts that differ in white space alone share it.

    It begins with a letter, so that no spreadsheet takes it for a number such as 12e345.

    >>> id_of("My card is lost.") == id_of(" My card  is lost.\\n")
    True
    """
    return f"r{hashlib.sha256(plain_text(text).encode()).hexdigest()[:_DIGITS]}"


def plain_text(text: str) -> str:
    """A text with single blanks, by which texts are compared: tools and spreadsheets change white space."""
    return " ".join(text.split())


def read_raw_texts(options: LabellingOptions) -> RawTexts:
    """The texts of `options.text_file`. Raises DataError for what cannot be read, and for rows without a text."""
    path = str(options.text_file)
    reading = PredictionOptions(
        model_name_or_path="unused", input_file=path, output_file="unused",
        text_column_name=options.text_column_name, skip_bad_rows=options.skip_bad_rows, delimiter=options.delimiter,
        quoting=options.quoting, no_header=options.no_header,
    )  # fmt: skip
    opened = open_texts(reading, tagged=False)
    texts: dict[str, RawText] = {}
    for row in opened:
        text = str(row.text)
        texts.setdefault(id_of(text), RawText(id_of(text), text, row.line))
    return RawTexts(list(texts.values()), opened.count - len(texts), opened.skipped, opened.notes)


def check_order(ids: Iterable[str], seed: int) -> list[str]:
    """The ids that are kept apart to check the score, in the random order in which they are offered.

    Whether an id is among them depends on itself and the seed alone. So they are a random tenth of all texts, whatever
    was picked meanwhile, and stay so when further texts join.
    """
    places = {name: _place(name, seed) for name in ids}
    return sorted((name for name, place in places.items() if place < CHECK_SHARE), key=lambda name: places[name])


def _place(name: str, seed: int) -> float:
    return int(hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()[:13], 16) / 16**13
