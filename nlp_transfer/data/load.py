"""The loading of the splits that the options of a run name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from nlp_transfer.config import DataOptions
from nlp_transfer.data.label_check import check_splits
from nlp_transfer.data.labels import LabelForm, look_like_numbers, problem_of
from nlp_transfer.data.read_rows import Rows, Source, read_classification, read_hub, read_tagged
from nlp_transfer.data.readers import require_file
from nlp_transfer.data.readers.hub import hub_splits
from nlp_transfer.data.row_kinds import RowKind, row_kind_named
from nlp_transfer.data.row_store import values
from nlp_transfer.data.splits import Splits, make_splits
from nlp_transfer.errors import DataError, OptionError

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

    def read(options: DataOptions) -> dict[str, Rows | None]:
        return {name: None if source is None else _read(source, options, kind) for name, source in sources.items()}

    return _checked(_as_measured(read, options, kind), options, kind, seed)


def _checked(
    splits_read: Mapping[str, Rows],
    options: DataOptions,
    kind: RowKind,
    seed: int,
    prepare: Callable[[Rows], Rows] = lambda rows: rows,
) -> Splits:
    prepared = {name: prepare(rows) for name, rows in splits_read.items()}
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
    splits = splits.noting(*notes)
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
    return _as_measured(
        lambda options: _hub(options, kind) if options.dataset_name else _files(options, kind), options, kind
    )


def _as_measured(
    read: Callable[[DataOptions], dict[str, Rows | None]], options: DataOptions, kind: RowKind
) -> dict[str, Rows]:
    splits = read(options)
    if kind.infers_problem and not options.problem and _look_measured(splits["train"]):
        splits = read(replace(options, problem="regression"))
    return {name: rows for name, rows in splits.items() if rows is not None}


def _look_measured(train: Rows | None) -> bool:
    if train is None or problem_of(train.data) != "single_label":
        return False
    return look_like_numbers(values(train.data, "label"))


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
    if options.dataset_name and (unused := [n for n in ("delimiter", "conll_columns") if getattr(options, n)]):
        raise OptionError(f"--{unused[0]} is for files; --dataset_name needs none.")
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
    return {name: _read(path, options, kind) if path else None for name, path in paths.items()}


def _read(source: Source, options: DataOptions, kind: RowKind) -> Rows:
    columns = (options.text_column_name, options.label_column_name)
    if not kind.tagged:
        if options.conll_columns:
            raise OptionError("--conll_columns is for NER.")
        return read_classification(
            source,
            *columns,
            skip_bad_rows=options.skip_bad_rows,
            delimiter=options.delimiter,
            **_labelled(options, kind),
        )
    return read_tagged(
        source,
        *columns,
        skip_bad_rows=options.skip_bad_rows,
        delimiter=options.delimiter,
        conll_columns=options.conll_columns,
        misaligned=options.misaligned,
    )


def _labelled(options: DataOptions, kind: RowKind) -> dict[str, Any]:
    problem = options.problem or kind.problem
    form = LabelForm(problem, options.label_delimiter, tuple(options.label_columns))
    return {"pair_column": options.text_pair_column_name, "labels": form}


def _hub(options: DataOptions, kind: RowKind) -> dict[str, Rows | None]:
    name = options.dataset_name or ""
    there = hub_splits(name, options.dataset_config_name)
    spelt = {split: next((s for s in spellings if s in there), None) for split, spellings in _HUB_NAMES.items()}
    if spelt["train"] is None:
        raise DataError(f"{name} has no split named train; its splits are: {', '.join(there)}.")
    return {
        split: read_hub(
            name,
            spelling,
            options.dataset_config_name,
            options.text_column_name,
            options.label_column_name,
            tagged=kind.tagged,
            skip_bad_rows=options.skip_bad_rows,
            misaligned=options.misaligned,
            **_labelled(options, kind),
        )
        if spelling
        else None
        for split, spelling in spelt.items()
    }
