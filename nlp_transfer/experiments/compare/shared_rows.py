"""Rows that the processes of a comparison share: read once, and mapped from Arrow files by each."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets

from nlp_transfer.data.splits import Splits

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class SharedRows:
    """Splits whose rows lie in Arrow files in `folder`, one for each split; any process can open them.

    >>> shared = SharedRows.write(splits, Path("rows"))
    >>> shared.open().train.data[0]
    """

    folder: Path
    about: Mapping[str, Any]

    @classmethod
    def write(cls, splits: Splits, folder: Path) -> SharedRows:
        """Write the rows of all splits into `folder`, which is emptied before."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        about = {}
        for name in _PARTS:
            rows = getattr(splits, name)
            if rows is not None:
                with _quiet():
                    rows.data.save_to_disk(str(folder / name))
            about[name] = rows and replace(rows, data=None)
        return cls(folder, about)

    def open(self) -> Splits:
        """The splits; their rows stay on disk."""
        return Splits(**{name: rows and replace(rows, data=self._data(name)) for name, rows in self.about.items()})

    def _data(self, name: str) -> datasets.Dataset:
        return datasets.Dataset.load_from_disk(str(self.folder / name))

    def remove(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the bar of `datasets`, which would stand between those of the comparison."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
