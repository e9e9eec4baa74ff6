"""Titles and licences that stand before the first sentence of CoNLL columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from nlp_transfer.data.tag_schemes import TAG

_WORDS = 3  # more of them beside each other are a title; few words of a language have as many blanks in them


def titles_of(
    shown: Sequence[tuple[int, str]], split: Callable[[str], list[str]], width: int
) -> tuple[tuple[int, str], ...]:
    """The first lines that are no words, with their numbers, where most lines have `width` columns; an end is empty.

    These are lines of other widths that read like a sentence, before the first one that does not; and paragraphs in
    which no column of any line holds a tag, a line has another width, and one several words. Words that have lost their
    tag are none, and lines that begin with "#" are not looked at.
    """
    titles: list[tuple[int, str]] = []
    said = [(number, line) for number, line in shown if not line.startswith("#")]
    for is_end, group in itertools.groupby(said, lambda one: not one[1]):
        paragraph = list(group)
        if is_end:
            continue
        if len(titles) + len(paragraph) < len(said) and _is_prose(paragraph, split, width):
            titles += paragraph
            continue
        titles += itertools.takewhile(lambda one: _is_title(one[1], split, width), paragraph)
        break
    return tuple((number, line.strip()) for number, line in titles)


def _is_prose(paragraph: Sequence[tuple[int, str]], split: Callable[[str], list[str]], width: int) -> bool:
    lines = [line for _, line in paragraph]
    return (
        not any(map(_has_tag, lines))
        and any(len(split(line)) != width for line in lines)
        and any(len(line.strip().split(" ")) > 1 and "\t" not in line.strip() for line in lines)
    )


def _is_title(line: str, split: Callable[[str], list[str]], width: int) -> bool:
    columns = len(split(line))
    return columns != width and not _has_tag(line) and (columns > _WORDS or len(line.split()) > _WORDS)


def _has_tag(line: str) -> bool:
    return any(TAG.fullmatch(field) for field in line.split())
