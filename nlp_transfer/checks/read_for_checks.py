"""The rows to check, and what prevents others from being read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nlp_transfer.checks.finding import Finding, Place, rows_in_words, share
from nlp_transfer.config import DataOptions
from nlp_transfer.data.label_check import check_splits
from nlp_transfer.data.load import read_rows
from nlp_transfer.data.row_kinds import CLASSIFICATION, NER
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.source_rows import is_tagged
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import DataError
from nlp_transfer.heads import head_named


def task_of(options: DataOptions, task: str | None = None) -> str:
    """The kind of rows to read: that of the head of `task`, or what the training file or data set looks like."""
    if task:
        return head_named(task).reads
    if options.dataset_name:
        try:
            read_rows(options, NER.name)
        except DataError:
            return CLASSIFICATION.name
        return NER.name
    has_tags = options.train_file and is_tagged(options.train_file, options.text_column_name, False)
    return (NER if has_tags else CLASSIFICATION).name


def read_for_checks(options: DataOptions, task: str) -> tuple[Splits, tuple[Finding, ...]]:
    """The rows that can be read, none held out, with a finding for each file that has others, and for each sentence on
    how a file was read. Raises DataError."""
    everything = read_rows(replace(options, skip_bad_rows=True), task)
    rows_of = {name: rows for name, rows in everything.items() if rows.has_labels}
    splits = Splits(rows_of["train"], rows_of.get("validation"), rows_of.get("test"))
    findings = [_unreadable(name, rows, options, task) for name, rows in everything.items() if rows.skipped]
    findings += [_unlabelled(name, rows) for name, rows in everything.items() if not rows.has_labels]
    findings += [_read_so(name, rows, note) for name, rows in everything.items() for note in rows.notes]
    return splits, tuple(findings)


def _unlabelled(name: str, rows: Rows) -> Finding:
    return Finding(
        "warning",
        "no_labels",
        f"None of the {len(rows.data):,} {name} rows of {rows.source} has a label; they cannot be scored.",
        "Give labels, or name their column with --label_column_name.",
    )


def refusals(splits: Splits) -> Iterator[Finding]:
    """What a training run would stop at: only one label, or labels that train does not have."""
    try:
        check_splits(splits)
    except DataError as error:
        what, mend = _halves(str(error))
        yield Finding(
            "error",
            "refused",
            f"A run would stop here: {what or mend}",
            mend if what else "Mend the labels of these files.",
        )


def _halves(line: str) -> tuple[str, str]:
    """An error in two: what is wrong, and from the last ";" or full stop outside of parentheses on how to mend it."""
    depth, place = 0, 0
    for index, character in enumerate(line):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and line[index : index + 2] in ("; ", ". "):
            place = index
    return line[:place], line[place + 2 :]


def _read_so(name: str, rows: Rows, note: str) -> Finding:
    return Finding(
        "note",
        "reading",
        f"{name}: {note.removeprefix(f'{rows.source}: ')}",
        "Nothing needs to be changed where that is what the file means.",
    )


def _unreadable(name: str, rows: Rows, options: DataOptions, task: str) -> Finding:
    total = len(rows.data) + len(rows.skipped)
    return Finding(
        "error",
        "bad_rows",
        f"{share(len(rows.skipped), total)} {name} rows cannot be used{_why(name, options, task)}; a run stops there.",
        "Mend them, or let a run leave them out with --skip_bad_rows.",
        tuple(Place(name, rows.source, rows.unit, line) for line in rows.skipped),
    )


def _why(name: str, options: DataOptions, task: str) -> str:
    """What is wrong with the rows of a file, as its reader reports it."""
    if options.dataset_name:
        return ""
    path = getattr(options, f"{name}_file")
    alone = replace(options, train_file=path, validation_file=None, test_file=None, skip_bad_rows=False)
    try:
        read_rows(alone, task)
    except DataError as error:
        _, has, faults = str(error).partition(f"{path} has ")
        return f": {faults.partition('. Mend them')[0]}" if has else ""
    return ""


def columns_in_words(name: str, rows: Rows) -> str:
    """The columns of a file, and which of them are read: "text and label of 3 (id, text, label)"."""
    taken = " and ".join(f"{role} from '{column}'" for role, column in rows.columns.items())
    read = {name for names in rows.columns.values() for name in (names, *names.split(", "))}  # --label_columns a,b
    others = [column for column in rows.file_columns if column not in read]
    left = f"; not read: {', '.join(others)}" if others else ""
    return f"{name}: {rows_in_words(len(rows.data))} of {rows.source}, {taken}{left}"
