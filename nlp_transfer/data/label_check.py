"""Checks of labels and tags before training."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.readers.bad_rows import some_numbers
from nlp_transfer.data.row_store import rows_of, values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.data.tag_schemes import TAG
from nlp_transfer.data.tag_spellings import NUMBER, unreadable
from nlp_transfer.errors import DataError
from nlp_transfer.system.invisible import odd_characters

_LOOKED_AT = 200  # sentences that show whether words and tags are exchanged


def check_splits(splits: Splits) -> None:
    """Raise DataError for labels, or tags where the rows have these, that a run cannot train on."""
    if splits.are_tagged:
        check_tags(splits)
    else:
        check_labels(splits)


def check_labels(splits: Splits) -> None:
    """DataError unless the training rows have two labels or more, and all labels of the other splits.

    Where labels are numbers, the training rows must have two different ones.
    """
    train = splits.train
    has_numbers, has_several = (problem_of(train.data) == problem for problem in ("regression", "multi_label"))
    train_labels = {label for label, _ in _labels(train)}
    if not train_labels:
        raise DataError(
            f"{train.source}: no training row has a label; name another column than '{train.columns['label']}' "
            "with --label_column_name."
        )
    if len(train_labels) == 1:
        kind, others = ("number", "numbers") if has_numbers else ("label", "labels")
        if has_several:
            raise DataError(
                f"{train.source}: the training rows have only one label, '{min(train_labels)}'; add rows with others, "
                "or name a yes/no column with --label_column_name and --problem single_label."
            )
        raise DataError(
            f"{train.source}: all {len(train.data):,} training rows have the one {kind} '{min(train_labels)}'; "
            f"add rows with other {others}, or name another column than '{train.columns['label']}' "
            "with --label_column_name"
            + (", such as the answers of annotators, some of whose rows were left out." if train.left_out else ".")
        )
    if has_numbers:
        return
    everywhere = train_labels.union(*({label for label, _ in _labels(rows)} for _, rows in _others(splits)))
    if len(train.data) < len(everywhere) and not has_several:
        raise DataError(
            f"{train.source} has {len(train.data):,} training rows for {len(everywhere):,} labels; "
            f"add rows, or name another column than '{train.columns['label']}' with --label_column_name."
        )
    for split, rows in _others(splits):
        _check_known(train, train_labels, split, rows, _labels(rows), "label")


def _labels(rows: Rows) -> Iterator[tuple[Any, int]]:
    """Each label with the line of a row that has it."""
    if problem_of(rows.data) != "multi_label":
        yield from rows_of(rows.data, "label", "line")
        return
    for labels, line in rows_of(rows.data, "label", "line"):
        for label in labels:
            yield label, line


def check_tags(splits: Splits) -> None:
    """DataError unless all tags are of a known scheme, and the training rows have every entity type, at least one."""
    for rows in (splits.train, *(rows for _, rows in _others(splits))):
        _check_scheme(rows)
    train_types = {entity for entity, _ in _entity_types(splits.train)}
    if not train_types:
        raise DataError(
            f"{splits.train.source}: no training sentence holds an entity, every tag is O; "
            "add sentences with tags such as B-PER, or name the right column with --label_column_name (of CoNLL "
            "columns --conll_columns)."
        )
    for split, rows in _others(splits):
        _check_known(splits.train, train_types, split, rows, _entity_types(rows), "entity type")


def _others(splits: Splits) -> list[tuple[str, Rows]]:
    pairs = (("validation", splits.validation), ("test", splits.test))
    return [(split, rows) for split, rows in pairs if rows is not None]


def require_known_labels(rows: Rows, known: Iterable[str], named_by: str) -> None:
    """DataError for labels of rows that are none of `known`; `named_by` is what names these, as a file does."""
    if unknown := _unknown(set(known), rows, _labels(rows)):
        raise DataError(
            f"{rows.source} has {_counted(unknown, 'label')} that {named_by} lacks: "
            f"{_shown(unknown, known, rows.unit)}. Correct {_them(unknown)}, take those rows out, or describe "
            f"{_them(unknown)} too."
        )


def _check_known(
    train: Rows, known: set[str], split: str, rows: Rows, names: Iterable[tuple[str, int]], kind: str
) -> None:
    if unknown := _unknown(known, rows, names):
        raise DataError(
            f"{rows.source} ({split}) has {_counted(unknown, kind)} that no training row in {train.source} has: "
            f"{_shown(unknown, known, rows.unit)}. Correct {_them(unknown)}, take those rows out, or add such rows to "
            "the training file."
        )


def _unknown(known: set[str], rows: Rows, names: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """The lines of each name that is none of `known`."""
    unknown: dict[str, list[int]] = {}
    for name, line in names:
        if name not in known:
            unknown.setdefault(name, []).append(line)
    return unknown


def _counted(unknown: Mapping[str, Sequence[int]], kind: str) -> str:
    return f"one {kind}" if len(unknown) == 1 else f"{len(unknown)} {kind}s"


def _them(unknown: Mapping[str, Sequence[int]]) -> str:
    return "it" if len(unknown) == 1 else "them"


def _shown(unknown: Mapping[str, list[int]], known: Iterable[str], unit: str) -> str:
    """The first names that are unknown, where they stand, and what may have been meant."""
    first = [f"'{name}' ({_place(name, lines, known, unit)})" for name, lines in list(unknown.items())[:5]]
    return f"{', '.join(first)}{' ...' * (len(unknown) > 5)}"


def _place(name: str, lines: list[int], known: Iterable[str], unit: str) -> str:
    by_case = {other.lower(): other for other in sorted(known)}
    near = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.8)
    odd = odd_characters(name)
    return (
        some_numbers(lines, unit)
        + (f"; it holds {', '.join(odd)}" if odd else "")
        + (f"; did you mean '{by_case[near[0]]}'?" if near else "")
    )


def _check_scheme(rows: Rows) -> None:
    for tags, line in rows_of(rows.data, "tags", "line"):
        for tag in tags:
            if not TAG.fullmatch(tag):
                raise DataError(_no_tag(rows, tag, line))


def _no_tag(rows: Rows, tag: str, line: int) -> str:
    """The error for a tag of no scheme: what is wrong with the tags of its file, or with one."""
    every = list(dict.fromkeys(tag for tags in values(rows.data, "tags") for tag in tags))
    if all(map(NUMBER.fullmatch, every)):
        return f"{rows.source}: {unreadable(tag, every)}"
    first = rows.data[:_LOOKED_AT]
    words, tags = ([one for row in first[name] for one in row] for name in ("words", "tags"))
    if _share(words) > 0.5 > _share(tags):
        return (
            f"{rows.source}: its words look like tags ({words[0]!r}), and its tags like words ({tags[0]!r}); name the "
            "column of the word before that of the tag, as --conll_columns 1,0 does."
        )
    is_first = rows.file_columns == ("words", "tags") and [tag] == first["tags"][0][:1] and line == first["line"][0]
    header = f" If {rows.unit} {line} names the columns, take it out." if is_first else ""
    return f"{rows.source}, sentence at {rows.unit} {line}: {unreadable(tag, every)}{header}"


def _share(names: Sequence[str]) -> float:
    """The share of names that are tags."""
    return sum(bool(TAG.fullmatch(name)) for name in names) / max(1, len(names))


def _entity_types(rows: Rows) -> Iterator[tuple[str, int]]:
    """Each entity type with the line of a sentence that holds it, once a sentence."""
    for tags, line in rows_of(rows.data, "tags", "line"):
        for entity in dict.fromkeys(tag[2:] for tag in tags if tag != "O"):
            yield entity, line
