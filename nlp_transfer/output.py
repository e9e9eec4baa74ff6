"""Where does a run write, so that it leaves a whole folder or none?"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from nlp_transfer.errors import OptionError

_RUN_FILE = "transfer.json"


class RunFolder:
    """A folder that is filled under a hidden name beside its own, and takes its place when the run has ended well.

    >>> with RunFolder("runs/mine") as folder:
    ...     (folder.path / "metrics.json").write_text("{}")

    Every process of a run may enter it; only the first one writes. After an error nothing is left behind. Raises
    OptionError for a folder that holds something, unless `overwrite`: then what the run wrote replaces what has the
    same name, and other files stay.
    """

    def __init__(self, target: str | Path, overwrite: bool = False) -> None:
        self.target = Path(target)
        self._writes = int(os.environ.get("RANK", "0")) == 0
        self.path = self.target.with_name(f".{self.target.name}.incomplete-{os.getpid()}")
        if self.target.is_file():
            raise OptionError(f"--output_dir {target} is a file; name a folder.")
        if self.target.is_dir() and any(self.target.iterdir()) and not overwrite:
            what = "already holds a run" if (self.target / _RUN_FILE).exists() else "is not empty"
            raise OptionError(f"--output_dir {target} {what}; name another, or give --overwrite_output_dir.")

    def __enter__(self) -> RunFolder:
        if self._writes:
            try:
                self.path.mkdir(parents=True)
                tempfile.TemporaryFile(dir=self.path).close()
            except OSError as error:
                raise OptionError(f"cannot write to --output_dir {self.target}: {error.strerror}.") from error
        return self

    def require_room(self, needed: int) -> None:
        """Raise OptionError now if the disk has not `needed` bytes free, rather than after hours of training."""
        free = shutil.disk_usage(self.path if self._writes else Path.cwd()).free
        if self._writes and free < needed:
            raise OptionError(
                f"no room on disk for --output_dir {self.target}: the run needs {needed / 1e6:,.0f} MB and "
                f"{free / 1e6:,.0f} MB are free; free some, or name a folder on another disk."
            )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._writes:
            return
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)
        elif not self.target.exists():
            os.replace(self.path, self.target)
        else:
            for item in self.path.iterdir():
                _replace(item, self.target / item.name)
            self.path.rmdir()


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
