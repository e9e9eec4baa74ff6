"""Where does a comparison keep what it has learned, so that it never learns it twice?"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp_transfer.errors import OptionError
from nlp_transfer.system.atomic_files import write_atomically
from nlp_transfer.system.locking import Lock

log = logging.getLogger(__name__)

_ABOUT, _TRIALS, _ROWS, _FAILED = "identity.json", "trials", "rows", "failed"
_HIDDEN = ".incomplete-"
_LOCK = ".lock"
RESULT = "result.json"


class ComparisonFolder:
    """A folder with a folder for each trial, which has its name when it is whole, and a hidden one before.

    A comparison that was stopped, by whatever, goes on where it stopped when it is started again; more candidates, more
    seeds and more fractions may be asked for then. What would change the results may not, and is refused by name.

    Raises OptionError for a folder that holds something else, unless `overwrite`: then trials that are there are
    removed.
    """

    def __init__(self, target: str | Path, overwrite: bool = False) -> None:
        self.path = Path(target)
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"--output_dir {target} is not a folder; name one that is, or a new one.")
        names = [p.name for p in self.path.iterdir()] if self.path.is_dir() else []
        there = [name for name in names if not name.startswith(_HIDDEN) and name != _LOCK]
        if there and _ABOUT not in there and not overwrite:
            raise OptionError(
                f"--output_dir {target} holds something else than a comparison; name another, or give "
                "--overwrite_output_dir."
            )
        self._overwrite = overwrite
        busy = f"--output_dir {target}: another comparison is at work there; wait for its end, or name another folder."
        self._lock = Lock(self.path / _LOCK, busy)

    @property
    def rows(self) -> Path:
        """The folder of the rows that trials share, while some run."""
        return self.path / _ROWS

    @property
    def _trials(self) -> Path:
        return self.path / _TRIALS

    def open_for(self, told: Mapping[str, Any]) -> None:
        """Begin, or go on with, the comparison that is `told`; nothing is written before. No other may until `close`.

        OptionError that names what of it is not as it was when it began, where the folder cannot be written to, or
        where another process works in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise OptionError(f"cannot write to --output_dir {self.path}: {error.strerror}.") from error
        try:
            self._open_for(told)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others work here."""
        self._lock.release()

    def _open_for(self, told: Mapping[str, Any]) -> None:
        path = self.path / _ABOUT
        now: dict[str, Any] = json.loads(json.dumps(told, default=str))
        then: dict[str, Any] = {}
        if path.is_file() and not self._overwrite:
            then = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in now if name in then and then[name] != now[name]]
        if changed:
            said = "; ".join(_change(name, then[name], now[name]) for name in changed)
            raise OptionError(
                f"--output_dir {self.path} holds another comparison: {said}. Name another folder, or give "
                "--overwrite_output_dir to begin anew."
            )
        try:
            if self._overwrite:
                shutil.rmtree(self._trials, ignore_errors=True)
            self._clean_up()
            self.write(_ABOUT, json.dumps(then | now, indent=1, ensure_ascii=False) + "\n")
            self._trials.mkdir(exist_ok=True)
        except OSError as error:
            raise OptionError(f"cannot write to --output_dir {self.path}: {error.strerror}.") from error

    def _clean_up(self) -> None:
        """Keep what a comparison that was killed had just done, and remove what it had not, and what failed."""
        shutil.rmtree(self.path / _FAILED, ignore_errors=True)
        for left in self._trials.glob(f"{_HIDDEN}*"):
            name = left.name.removeprefix(_HIDDEN)
            if (left / RESULT).is_file() and not self.has(name):
                self.keep(name)
            else:
                shutil.rmtree(left, ignore_errors=True)

    def has(self, name: str) -> bool:
        """Whether the trial of that name has a result."""
        return (self._trials / name / RESULT).is_file()

    def result(self, name: str) -> dict[str, Any]:
        """That result."""
        return json.loads((self._trials / name / RESULT).read_text(encoding="utf-8"))

    def seconds(self, name: str) -> float:
        """How long that trial took in all."""
        return float(self.result(name)["seconds"])

    def of(self, name: str) -> Path:
        """The folder of a trial that is done."""
        return self._trials / name

    def hidden(self, name: str) -> Path:
        """The folder of a trial while it runs."""
        return self._trials / f"{_HIDDEN}{name}"

    def begin(self, name: str) -> Path:
        """An empty folder for a trial to fill."""
        folder = self.hidden(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def keep(self, name: str) -> None:
        """Give the folder of a trial its name, now that it is whole."""
        os.rename(self.hidden(name), self.of(name))

    def put_aside(self, name: str) -> None:
        """Move the folder of a trial that failed to `failed/`, where its log can be read."""
        target = self.path / _FAILED / name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        os.rename(self.hidden(name), target)

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder, whole or not at all."""
        write_atomically(self.path / name, text)


def _change(name: str, then: Any, now: Any) -> str:
    if str(then).startswith("#") or str(now).startswith("#"):
        return f"{name} are not those of then"
    return f"{name} was {'none' if then is None else then} and is {'none' if now is None else now}"
