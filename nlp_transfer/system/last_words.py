"""The last words of one of several processes, which it leaves to the launcher that has started it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "NLP_TRANSFER_LAST_WORDS"
"""The variable of the environment that names the folder of the last words."""

_LOOKS = 1.0  # seconds between two looks whether the launcher is still there
_GRACE_PERIOD = 30.0  # seconds between asking this process to end and ending it


@dataclass(frozen=True)
class LastWords:
    """Why a process ended: in the file `own` an error of its own, in `lost` what it noticed of another one's end.

    All processes leave theirs, and the launcher prints those of one. An `own` that is empty says that the process has
    come as far as its recipe, and heeds signals as a recipe does.
    """

    folder: Path
    rank: int

    @property
    def own(self) -> Path:
        """The file of an error of this process."""
        return self.folder / f"{self.rank}.own"

    @property
    def lost(self) -> Path:
        """The file of what it noticed of another one's end."""
        return self.folder / f"{self.rank}.lost"

    @classmethod
    def for_launcher(cls) -> LastWords | None:
        """Those of this process, None where it was not started by `launch_processes`.

        From here on it ends when its launcher has ended, by a kill too. What it starts itself has no launcher.
        """
        folder = os.environ.pop(FOLDER, None)
        if folder is None:
            return None
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        return cls(Path(folder), int(os.environ["RANK"]))


def leave(path: Path, text: str) -> None:
    """Write last words to a file of `LastWords`, or to stderr where the disk takes no more."""
    try:
        path.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    except OSError:
        print(text, file=sys.stderr)


def left(path: Path) -> str:
    """What a process has left in a file of `LastWords`, "" if nothing."""
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_PERIOD)
    os._exit(1)
