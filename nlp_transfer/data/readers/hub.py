"""Data sets on the Hugging Face hub or saved in a folder."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets

from nlp_transfer.data.readers.columnar import is_saved
from nlp_transfer.errors import DataError


def hub_splits(name: str, config_name: str | None = None) -> tuple[str, ...]:
    """The names of the splits that a data set on the hub or in a folder has; one saved without splits has a train."""
    if is_saved(Path(name)):
        return saved_splits(Path(name)) or ("train",)
    if files := local_files(name, config_name):
        return tuple(files)
    return tuple(load_hub(name, lambda: datasets.get_dataset_split_names(name, config_name)))


def saved_splits(folder: Path) -> tuple[str, ...]:
    """The splits of what `datasets` has saved in a folder; none where it was saved without."""
    if not (folder / "dataset_dict.json").exists():
        return ()
    return tuple(sorted(part.name for part in folder.iterdir() if (part / "state.json").exists()))


def local_files(name: str, config_name: str | None = None) -> dict[str, list[Path]]:
    """The files of each split in a folder, as `datasets` finds them by their names; none where it is no folder.

    Such files are read by the readers of this package: `datasets` would guess types, and take 01 for 1.
    """
    if not Path(name).is_dir():
        return {}
    builder = load_hub(name, lambda: datasets.load_dataset_builder(name, config_name))
    found = {str(split): [Path(file) for file in files] for split, files in (builder.config.data_files or {}).items()}
    return found if all(path.is_file() for files in found.values() for path in files) else {}


def named_features(name: str, config_name: str | None = None) -> dict[str, Any]:
    """The columns of a folder whose README gives names to ids, with these features."""
    features = load_hub(name, lambda: datasets.load_dataset_builder(name, config_name)).info.features or {}
    names = {column: getattr(feature, "feature", feature) for column, feature in features.items()}
    return {column: feature for column, feature in names.items() if isinstance(feature, datasets.ClassLabel)}


def unread_files(name: str, found: dict[str, list[Path]]) -> list[str]:
    """The files of a folder that are tables too, and not among those that were found for the splits."""
    read = {path.resolve() for paths in found.values() for path in paths}
    suffixes = {path.suffix for path in read} | {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx"}
    others = (path for path in sorted(Path(name).rglob("*")) if path.suffix in suffixes and path.is_file())
    return [path.relative_to(name).as_posix() for path in others if path.resolve() not in read]


def load_hub(name: str, load: Callable[[], Any]) -> Any:
    """The result of `load` for the data set `name`. DataError where it does not exist or cannot be read."""
    try:
        return load()
    except datasets.exceptions.DatasetNotFoundError:
        raise DataError(
            f"there is no data set '{name}' on the hub nor a folder of that name, or you may not see it; "
            "check --dataset_name, or log in with: hf auth login"
        ) from None
    except ConnectionError as error:
        raise DataError(
            f"the data set '{name}' is not cached here and the hub cannot be reached ({_first_line(error)}); "
            "connect to the network, or give files with --train_file."
        ) from None
    except (
        datasets.exceptions.DatasetsError, OSError, ValueError, RuntimeError, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise DataError(
            f"the data set '{name}' cannot be loaded ({_first_line(error)}); "
            "check --dataset_name, its configuration and its splits."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
