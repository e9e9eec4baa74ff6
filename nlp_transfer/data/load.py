"""The loading of the splits that the options of a run name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from nlp_transfer.config import DataOptions
from nlp_transfer.data.alike_labels import notes_on_names
from nlp_transfer.data.label_check import check_splits
from nlp_transfer.data.label_reading import distinct_labels, notes_on_labels, reading_of
from nlp_transfer.data.labels import LabelForm, problem_of
from nlp_transfer.data.read_rows import labelled_rows, tagged_rows, unlabelled_rows, untagged_rows
from nlp_transfer.data.readers import require_file
from nlp_transfer.data.readers.hub import hub_splits
from nlp_transfer.data.readers.reader_registry import reader_options
from nlp_transfer.data.row_kinds import RowKind, row_kind_named
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.split_sources import Source, SplitSource, hub_source, source_of
from nlp_transfer.data.splits import Splits, left_out_notes, make_splits
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

    form = {name: getattr(options, name, None) for name in reader_options()}
    read = {name: source_of(source, **form) for name, source in sources.items() if source is not None}
    return _checked(_read(read, options, kind), options, kind, seed)


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
        what = "tag" if kind.tagged else "label"
        splits = splits.noting(f"{rows.source}: none of the {len(rows.data):,} {name} rows has a {what}; {becomes}.")
        splits = splits.noting(*left_out_notes(rows))
    if splits.test is None and splits.validation is None:
        raise OptionError(
            "--validation_split_percentage 0 leaves no rows to score; give a --test_file or a --validation_file."
        )
    splits = splits.noting(*(note for rows in (*prepared.values(), *unlabelled.values()) for note in rows.notes))
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
    sources = _hub(options) if options.dataset_name else _files(options, kind)
    return _read(sources, options, kind)


def _read(sources: Mapping[str, SplitSource], options: DataOptions, kind: RowKind) -> dict[str, Rows]:
    """The rows of each source, those of validation and test read as those of train show."""
    if kind.tagged:
        return {name: _read_tagged(name, source, options) for name, source in sources.items()}
    for option in ("conll_columns", "tag_names"):
        if getattr(options, option):
            raise OptionError(f"--{option} is for NER.")
    skip = options.skip_bad_rows
    form = LabelForm(
        options.problem or kind.problem,
        options.label_delimiter,
        tuple(options.label_columns),
        tuple(options.label_names),
        options.decimal_mark,
    )
    as_written = form._replace(problem="single_label") if form.problem == "regression" else form
    given = (options.text_column_name, options.text_pair_column_name, options.label_column_name)
    train = labelled_rows(sources["train"], given, as_written, skip)
    infers = kind.infers_problem and not options.problem
    reading = reading_of(train, form, skip, infers=infers, ordered=kind.ordered)
    read = {"train": reading.change(train)}
    read["train"] = replace(read["train"], notes=(*read["train"].notes, *notes_on_labels(read["train"])))
    labels = options.label_columns or [train.columns["label"]]
    known = distinct_labels(train)
    for name in (name for name in sources if name != "train"):
        columns = _columns_as(train, sources[name], given)
        rows = unlabelled_rows(sources[name], (*columns[:2], given[2]), labels, known, skip)
        read[name] = rows or reading.change(labelled_rows(sources[name], columns, reading.form, skip))
    return read


def _read_tagged(name: str, source: SplitSource, options: DataOptions) -> Rows:
    columns = (options.text_column_name, options.label_column_name)
    if name != "train" and (rows := untagged_rows(source, columns, options.skip_bad_rows)):
        return rows
    return tagged_rows(source, columns, options.misaligned, options.skip_bad_rows, options.tag_names)


def _columns_as(
    train: Rows, source: SplitSource, given: tuple[str | None, str | None, str | None]
) -> tuple[str | None, str | None, str | None]:
    """The columns of another split: those given, else those of train where they are there."""
    there = source.opened("labels").columns
    text, label = (train.columns[role] if train.columns[role] in there else None for role in ("text", "label"))
    return given[0] or text, given[1], given[2] or label


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


def _files(options: DataOptions, kind: RowKind) -> dict[str, SplitSource]:
    paths = {"train": options.train_file, "validation": options.validation_file, "test": options.test_file}
    if not options.train_file:
        folder = files("nlp_transfer") / "samples" / kind.name
        paths = {name: str(folder / f"{name}.{kind.sample_suffix}") for name in paths}
    form = {name: getattr(options, name, None) for name in reader_options()}
    return {name: source_of(path, **form) for name, path in paths.items() if path}


def _hub(options: DataOptions) -> dict[str, SplitSource]:
    name = options.dataset_name or ""
    there = hub_splits(name, options.dataset_config_name)
    spelt = {split: next((s for s in spellings if s in there), None) for split, spellings in _HUB_NAMES.items()}
    if spelt["train"] is None:
        raise DataError(f"{name} has no split named train; its splits are: {', '.join(there)}.")
    form = {option: getattr(options, option, None) for option in reader_options()}
    return {
        split: hub_source(name, spelling, options.dataset_config_name, **form)
        for split, spelling in spelt.items()
        if spelling
    }
