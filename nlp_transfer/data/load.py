"""Which rows does a run read, and does it read a user's own?"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from nlp_transfer.config import DataOptions
from nlp_transfer.data.check import check_labels, check_tags
from nlp_transfer.data.forms import require_file
from nlp_transfer.data.read import Rows, hub_splits, read_classification, read_hub, read_tagged
from nlp_transfer.data.splits import Splits, make_splits
from nlp_transfer.errors import DataError, OptionError

_SAMPLES = {"classification": "csv", "sentiment": "jsonl", "ner": "conll"}
_HUB_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "development"),
    "test": ("test",),
}


def load_splits(
    options: DataOptions, task: str, seed: int = 0, prepare: Callable[[Rows], Rows] = lambda rows: rows
) -> Splits:
    """Read and check the splits that the options name; with none named, the sample set of the package.

    `prepare` changes the rows of each split before any are held out. Raises DataError and OptionError.
    """
    prepared = {name: prepare(rows) for name, rows in read_rows(options, task).items()}
    splits = make_splits(
        prepared["train"],
        prepared.get("validation"),
        prepared.get("test"),
        share=options.validation_split_percentage / 100,
        seed=seed,
        label_column=None if task == "ner" else "label",
    )
    if task == "ner":
        check_tags(splits)
    else:
        check_labels(splits)
    if splits.test is None and splits.validation is None:
        raise OptionError(
            "--validation_split_percentage 0 leaves no rows to score; give a --test_file or a --validation_file."
        )
    if splits.test is None:
        splits = splits.noting(
            "No test rows: the scores will be of the validation rows, which also choose the weights."
        )
    if not options.dataset_name and not options.train_file:
        splits = splits.noting(f"No --train_file: this is the sample set of {len(splits.train.data)} training rows.")
    return splits


def read_rows(options: DataOptions, task: str) -> dict[str, Rows]:
    """The rows of each split that the options name, as they stand there: nothing held out, no label looked at."""
    _refuse_clashes(options)
    found = _hub(options, task) if options.dataset_name else _files(options, task)
    return {name: rows for name, rows in found.items() if rows is not None}


def require_files(options: DataOptions) -> None:
    """Raise DataError for a file that is not there, and OptionError for options that clash; loads no torch."""
    _refuse_clashes(options)
    for path in (options.train_file, options.validation_file, options.test_file):
        if path:
            require_file(Path(path))


def _refuse_clashes(options: DataOptions) -> None:
    given = [name for name in ("train_file", "validation_file", "test_file") if getattr(options, name)]
    if options.dataset_name and given:
        raise OptionError(f"--dataset_name and --{given[0]} both say which rows to read; give one of them.")
    if given and not options.train_file:
        raise OptionError(f"--{given[0]} needs a --train_file beside it.")
    if options.dataset_config_name and not options.dataset_name:
        raise OptionError("--dataset_config_name needs the --dataset_name that it is a configuration of.")
    percentage = options.validation_split_percentage
    if not 0 <= percentage < 100:
        raise OptionError(f"--validation_split_percentage must lie in [0, 100); given was {percentage:g}.")


def _files(options: DataOptions, task: str) -> dict[str, Rows | None]:
    paths = {"train": options.train_file, "validation": options.validation_file, "test": options.test_file}
    if not options.train_file:
        folder = files("nlp_transfer") / "samples" / task
        paths = {name: str(folder / f"{name}.{_SAMPLES[task]}") for name in paths}
    read = read_tagged if task == "ner" else read_classification
    columns = (options.text_column_name, options.label_column_name)
    return {
        name: read(path, *columns, skip_bad_rows=options.skip_bad_rows) if path else None
        for name, path in paths.items()
    }


def _hub(options: DataOptions, task: str) -> dict[str, Rows | None]:
    name = options.dataset_name or ""
    there = hub_splits(name, options.dataset_config_name)
    spelt = {split: next((s for s in spellings if s in there), None) for split, spellings in _HUB_NAMES.items()}
    if spelt["train"] is None:
        raise DataError(f"{name} has no split named train to learn from; its splits are: {', '.join(there)}.")
    return {
        split: read_hub(
            name,
            spelling,
            options.dataset_config_name,
            options.text_column_name,
            options.label_column_name,
            tagged=task == "ner",
            skip_bad_rows=options.skip_bad_rows,
        )
        if spelling
        else None
        for split, spelling in spelt.items()
    }
