"""How is the page of a run drawn again, or of several, from what their folders hold?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.errors import DataError, OptionError
from nlp_transfer.run.report.run_page import run_page
from nlp_transfer.run.report.several_runs import side_by_side
from nlp_transfer.system.atomic_files import write_atomically

VERSION = 1
"""Of the form of report.json."""

PAGE, DATA = "report.html", "report.json"


def draw_reports(runs: Sequence[str | Path], output_file: str | Path | None = None) -> Path:
    """Draw the page of one run again, or a page of several side by side, from what their folders hold; give its path.

    Unless `output_file` is given, the page of one run is its report.html, and that of several is report.html in the
    current folder. Raises OptionError where nothing is named or the page cannot be written, DataError for a folder
    that holds no run with a report, or runs of different tasks.
    """
    from jinja2 import UndefinedError  # takes a while

    folders = [Path(run) for run in runs]
    if not folders:
        raise OptionError("name the folder of a run, or of several.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise OptionError("a run is named twice; name each once.")
    found = [_read(folder) for folder in folders]
    try:
        page = run_page(found[0]) if len(folders) == 1 else side_by_side(folders, found)
    except (KeyError, TypeError, IndexError, ValueError, UndefinedError) as error:
        named = " or ".join(str(folder / DATA) for folder in folders)
        raise DataError(
            f"{named} does not hold what a page shows ({error}); train again to have it written."
        ) from error
    target = Path(output_file) if output_file else folders[0] / PAGE if len(folders) == 1 else Path(PAGE)
    try:
        write_atomically(target, f"{page}\n")
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror}.") from error
    return target


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DATA
    if not path.is_file():
        what = "a run without a report" if (folder / "transfer.json").is_file() else "no run"
        raise DataError(
            f"{folder} holds {what}: there is no {DATA}, which a training recipe writes unless it is told "
            "--report false; name the folder of a run that has one."
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged, or is not of a run; train again to have it written.") from error
    if version != VERSION:
        raise DataError(f"{path} is of form {version}, and this version of nlp_transfer reads form {VERSION}.")
    return dict(found)
