"""The folder of a comparison, with a folder for each trial, so that no trial runs twice."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp_transfer.errors import OptionError
from nlp_transfer.experiments.trial_fingerprint import as_json
from nlp_transfer.system.atomic_files import write_atomically
from nlp_transfer.system.locking import Lock
from nlp_transfer.training.checkpointing.fingerprint import changes

log = logging.getLogger(__name__)

_FINGERPRINT, _TRIALS, _ROWS, _FAILED = "identity.json", "trials", "rows", "failed"
_HIDDEN = ".incomplete-"
_LOCK = ".lock"
RESULT = "result.json"


class ComparisonFolder:
    """A folder with a folder for each trial, which gets its name when it is complete, and is hidden before.

    A comparison that was stopped, by whatever, resumes when it is started again; more candidates, seeds and fractions
    may be asked for then. What would change the results may not, and is refused by name.

    Raises OptionError for a folder that holds something else, unless `overwrite`: then its trials are removed.
    """

    def __init__(self, target: str | Path, overwrite: bool = False) -> None:
        self.path = Path(target)
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"--output_dir {target} is not a folder; name one that is, or a new one.")
        names = [p.name for p in self.path.iterdir()] if self.path.is_dir() else []
        visible = [name for name in names if not name.startswith(_HIDDEN) and name != _LOCK]
        if visible and _FINGERPRINT not in visible and not overwrite:
            raise OptionError(
                f"--output_dir {target} holds something other than a comparison; name another folder, or give "
                "--overwrite_output_dir."
            )
        self._overwrite = overwrite
        busy = f"--output_dir {target} is in use by another comparison; wait for its end, or name another folder."
        self._lock = Lock(self.path / _LOCK, busy)

    @property
    def rows(self) -> Path:
        """The folder of the rows that trials share, while some run."""
        return self.path / _ROWS

    @property
    def _trials(self) -> Path:
        return self.path / _TRIALS

    def open_for(self, fingerprint: Mapping[str, Any]) -> None:
        """Begin or resume the comparison with that fingerprint, and lock the folder until `close`.

        Nothing is written before. OptionError that names what of the fingerprint changed since the comparison began,
        where the folder cannot be written to, or where another process works in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise OptionError(f"cannot write to --output_dir {self.path}: {error.strerror}.") from error
        try:
            self._open_for(fingerprint)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def _open_for(self, fingerprint: Mapping[str, Any]) -> None:
        path = self.path / _FINGERPRINT
        now, before = as_json(fingerprint), {}
        if path.is_file() and not self._overwrite:
            before = json.loads(path.read_text(encoding="utf-8"))
        if changed := changes(before, now):
            raise OptionError(
                f"--output_dir {self.path} holds another comparison: {'; '.join(changed)}. Name another folder, or "
                "give --overwrite_output_dir to start over."
            )
        try:
            if self._overwrite:
                shutil.rmtree(self._trials, ignore_errors=True)
            self._clean_up()
            self.write(_FINGERPRINT, json.dumps(before | now, indent=1, ensure_ascii=False) + "\n")
            self._trials.mkdir(exist_ok=True)
        except OSError as error:
            raise OptionError(f"cannot write to --output_dir {self.path}: {error.strerror}.") from error

    def _clean_up(self) -> None:
        """Keep the trial that a comparison that was killed had just completed; remove incomplete and failed ones."""
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
        """The result of that trial."""
        return json.loads((self._trials / name / RESULT).read_text(encoding="utf-8"))

    def seconds(self, name: str) -> float:
        """The duration of that trial in all."""
        return float(self.result(name)["seconds"])

    def of(self, name: str) -> Path:
        """The folder of a trial that is complete."""
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
        """Give the folder of a trial its name, now that it is complete."""
        os.rename(self.hidden(name), self.of(name))

    def put_aside(self, name: str) -> None:
        """Move the folder of a trial that failed to `failed/`, where its log can be read."""
        target = self.path / _FAILED / name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        os.rename(self.hidden(name), target)

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder atomically."""
        write_atomically(self.path / name, text)
