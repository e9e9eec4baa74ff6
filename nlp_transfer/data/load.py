"""The loading of the splits that the options of a run name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from nlp_transfer.config import DataOptions
from nlp_transfer.data.alike_labels import notes_on_names
from nlp_transfer.data.changed_labels import as_numbers, as_single_labels, in_digits, notation_in, notation_measured
from nlp_transfer.data.label_cells import joint_of
from nlp_transfer.data.label_check import check_splits
from nlp_transfer.data.labels import LabelForm, problem_of
from nlp_transfer.data.number_notations import Notation
from nlp_transfer.data.read_rows import (
    Source,
    read_classification,
    read_hub,
    read_hub_texts,
    read_tagged,
    read_texts,
)
from nlp_transfer.data.readers import require_file
from nlp_transfer.data.readers.hub import hub_splits
from nlp_transfer.data.row_kinds import RowKind, row_kind_named
from nlp_transfer.data.row_store import values
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits, make_splits
from nlp_transfer.errors import DataError, OptionError

_OF_TABLES = ("delimiter", "quoting", "no_header")
_OF_FILES = (*_OF_TABLES, "conll_columns")
_HUB_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "development"),
    "test": ("test",),
}


def load_splits(
    options: DataOptions, task: str, seed: int = 0, prepare: Callable[[Rows], Rows] = lambda rows: rows
) -> Splits:
    """Read and check the splits that the options name; with none named, the sample set of the package.

    `task` is how the rows are read: classification, sentiment or ner (`TaskHead.reads` of the head to train).
    `prepare` changes the rows of each split before any are held out. Raises DataError and OptionError.
    """
    splits = _checked(read_rows(options, task), options, row_kind_named(task), seed, prepare)
    if not options.dataset_name and not options.train_file:
        splits = splits.noting(f"No --train_file: this is the sample set of {len(splits.train.data)} training rows.")
    return splits


def splits_from(
    train: Source,
    validation: Source | None = None,
    test: Source | None = None,
    *,
    task: str = "classification",
    options: DataOptions | None = None,
    seed: int = 0,
) -> Splits:
    """Read and check splits from pandas data frames, `datasets` objects or paths, as `load_splits` does from options.

    `task` is how the rows are read, as in `load_splits`; `options` are used but for the files that they name.
    Raises DataError and OptionError.

    >>> splits = splits_from(frame, test=other, options=DataOptions(label_column_name="team"))
    """
    options = options or DataOptions()
    sources = {"train": train, "validation": validation, "test": test}
    kind = row_kind_named(task)
    _refuse_clashes(options, kind)

    read = {name: None if source is None else _read(source, options, kind) for name, source in sources.items()}

    return _checked(_settled(read, options, kind), options, kind, seed)


def _checked(
    splits_read: Mapping[str, Rows],
    options: DataOptions,
    kind: RowKind,
    seed: int,
    prepare: Callable[[Rows], Rows] = lambda rows: rows,
) -> Splits:
    unlabelled = {name: rows for name, rows in splits_read.items() if not rows.has_labels}
    prepared = {name: prepare(rows) for name, rows in splits_read.items() if rows.has_labels}
    percentage = options.validation_split_percentage
    notes = []
    if kind.infers_problem and not options.problem and problem_of(prepared["train"].data) != "single_label":
        notes.append(_taken_as(prepared["train"]))
    splits = make_splits(
        prepared["train"],
        prepared.get("validation"),
        prepared.get("test"),
        share=None if percentage is None else percentage / 100,
        seed=seed,
        label_column=None if kind.tagged else "label",
    )
    check_splits(splits)
    notes += notes_on_names(splits.train)
    splits = replace(splits.noting(*notes), unlabelled=unlabelled.get("test"))
    for name, rows in unlabelled.items():
        becomes = "they are predicted, and not scored" if name == "test" else "they are left out"
        splits = splits.noting(f"{rows.source}: none of the {len(rows.data):,} {name} rows has a label; {becomes}.")
    if splits.test is None and splits.validation is None:
        raise OptionError(
            "--validation_split_percentage 0 leaves no rows to score; give a --test_file or a --validation_file."
        )
    splits = splits.noting(*(note for rows in prepared.values() for note in rows.notes))
    if splits.test is None:
        splits = splits.noting(
            "No test rows: scores will be computed on the validation rows, which also select the best weights."
        )
    return splits


def read_rows(options: DataOptions, task: str) -> dict[str, Rows]:
    """The rows of each split that the options name, unchanged: nothing held out, no label checked.

    Where no problem is set, and the labels look like measured numbers, they are read as numbers (regression).
    """
    kind = row_kind_named(task)
    _refuse_clashes(options, kind)
    return _settled(_hub(options, kind) if options.dataset_name else _files(options, kind), options, kind)


def _settled(splits: Mapping[str, Rows | None], options: DataOptions, kind: RowKind) -> dict[str, Rows]:
    """The splits with their labels read as what those of the training rows are: names, several of them, or numbers."""
    unlabelled = {name: rows for name, rows in splits.items() if rows is not None and not rows.has_labels}
    parts = {name: rows for name, rows in splits.items() if rows is not None and rows.has_labels}
    return _read_alike(parts, options, kind) | unlabelled


def _read_alike(parts: dict[str, Rows], options: DataOptions, kind: RowKind) -> dict[str, Rows]:
    train = parts["train"]
    if kind.tagged or options.label_columns:
        return parts
    mark, is_open = options.decimal_mark, kind.infers_problem and not options.problem
    if problem_of(train.data) == "multi_label":
        if is_open and options.label_delimiter is None and all(map(_has_one_each, parts.values())):
            note = (
                f"{train.source}: every text has a list of one label, so a text has one label; --problem multi_label "
                "lets it have several."
            )
            parts = {name: as_single_labels(rows) for name, rows in parts.items()}
            parts["train"] = replace(parts["train"], notes=(*train.notes, note))
        return parts
    if options.label_names:
        return parts
    try:
        if options.problem == "regression":
            notation: Notation | None = notation_in(train, mark)
        else:
            notation = notation_measured(train, mark) if is_open or kind.ordered else None
    except DataError as error:
        raise DataError(f"{train.source}: {error}") from None
    if notation is None:
        return {name: _noting_joints(rows, name) for name, rows in parts.items()}
    if kind.ordered and options.problem != "regression":
        return parts if notation.is_plain else {name: in_digits(rows, notation) for name, rows in parts.items()}
    return {name: as_numbers(rows, notation, options.skip_bad_rows) for name, rows in parts.items()}


def _has_one_each(rows: Rows) -> bool:
    return all(len(labels) == 1 for labels in values(rows.data, "label"))


def _noting_joints(rows: Rows, split: str) -> Rows:
    joint = joint_of(values(rows.data, "label")) if split == "train" else None
    if joint is None:
        return rows
    note = (
        f"{rows.source}: labels such as '{joint[1]}' look like several in one; --label_delimiter '{joint[0]}' "
        "takes them apart."
    )
    return replace(rows, notes=(*rows.notes, note))


def _taken_as(train: Rows) -> str:
    column = train.columns["label"]
    if problem_of(train.data) == "multi_label":
        return f"A text may have several labels ({column})."
    return (
        f"Column '{column}' holds numbers, so this is a regression; --problem single_label takes each number as a "
        "label."
    )


def require_files(options: DataOptions) -> None:
    """Raise DataError for a file that is not there, and OptionError for options that clash; loads no torch."""
    _refuse_clashes(options)
    for path in (options.train_file, options.validation_file, options.test_file):
        if path:
            require_file(Path(path))


def _refuse_clashes(options: DataOptions, kind: RowKind | None = None) -> None:
    if kind:
        _refuse_options(options, kind)
    given = [name for name in ("train_file", "validation_file", "test_file") if getattr(options, name)]
    if options.dataset_name and given:
        raise OptionError(f"--dataset_name and --{given[0]} both name the rows to read; give one of them.")
    if given and not options.train_file:
        raise OptionError(f"--{given[0]} needs a --train_file beside it.")
    if options.dataset_config_name and not options.dataset_name:
        raise OptionError("--dataset_config_name needs the --dataset_name that it is a configuration of.")
    percentage = options.validation_split_percentage
    if percentage is not None and not 0 <= percentage < 100:
        raise OptionError(f"--validation_split_percentage must lie in [0, 100); got {percentage:g}.")


def _refuse_options(options: DataOptions, kind: RowKind) -> None:
    for option in kind.refused:
        if getattr(options, option):
            raise OptionError(kind.refusal.format(option=option))
    if options.problem in kind.refused_problems:
        raise OptionError(kind.refusal.format(option="problem"))


def _files(options: DataOptions, kind: RowKind) -> dict[str, Rows | None]:
    paths = {"train": options.train_file, "validation": options.validation_file, "test": options.test_file}
    if not options.train_file:
        folder = files("nlp_transfer") / "samples" / kind.name
        paths = {name: str(folder / f"{name}.{kind.sample_suffix}") for name in paths}
    return {name: _read_split(name, path, options, kind) if path else None for name, path in paths.items()}


def _read_split(name: str, source: Source, options: DataOptions, kind: RowKind) -> Rows:
    if name != "train" and not kind.tagged:
        form = {name: getattr(options, name) for name in ("skip_bad_rows", *_OF_TABLES)}
        columns = (options.text_column_name, _label_columns(options))
        if rows := read_texts(source, *columns, pair_column=options.text_pair_column_name, **form):
            return rows
    return _read(source, options, kind)


def _label_columns(options: DataOptions) -> list[str] | None:
    return options.label_columns or ([options.label_column_name] if options.label_column_name else None)


def _read(source: Source, options: DataOptions, kind: RowKind) -> Rows:
    columns = (options.text_column_name, options.label_column_name)
    form: dict[str, Any] = {name: getattr(options, name) for name in ("skip_bad_rows", *_OF_FILES)}
    if not kind.tagged:
        if form.pop("conll_columns"):
            raise OptionError("--conll_columns is for NER.")
        return read_classification(source, *columns, **(form | _labelled(options, kind)))
    return read_tagged(source, *columns, **form, misaligned=options.misaligned)


def _labelled(options: DataOptions, kind: RowKind) -> dict[str, Any]:
    problem = options.problem or kind.problem
    if problem == "regression":
        problem = "single_label"  # of all rows those of train show how numbers are written
    form = LabelForm(problem, options.label_delimiter, tuple(options.label_columns), tuple(options.label_names))
    return {"pair_column": options.text_pair_column_name, "labels": form}


def _hub(options: DataOptions, kind: RowKind) -> dict[str, Rows | None]:
    name = options.dataset_name or ""
    there = hub_splits(name, options.dataset_config_name)
    spelt = {split: next((s for s in spellings if s in there), None) for split, spellings in _HUB_NAMES.items()}
    if spelt["train"] is None:
        raise DataError(f"{name} has no split named train; its splits are: {', '.join(there)}.")
    return {split: _hub_split(name, spelling, options, kind) if spelling else None for split, spelling in spelt.items()}


def _hub_split(name: str, split: str, options: DataOptions, kind: RowKind) -> Rows:
    where = (name, split, options.dataset_config_name, options.text_column_name)
    form: dict[str, Any] = {name: getattr(options, name) for name in ("skip_bad_rows", *_OF_TABLES)}
    if split not in _HUB_NAMES["train"] and not kind.tagged:
        rows = read_hub_texts(*where, _label_columns(options), pair_column=options.text_pair_column_name, **form)
        if rows:
            return rows
    form["conll_columns"] = options.conll_columns
    return read_hub(
        *where,
        options.label_column_name,
        tagged=kind.tagged,
        misaligned=options.misaligned,
        **(form | _labelled(options, kind)),
    )
