"""Drawing the report of a run again, or a page of several runs, from the files in their folders."""

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
"""The version of the format of report.json."""

PAGE, DATA = "report.html", "report.json"


def draw_reports(runs: Sequence[str | Path], output_file: str | Path | None = None) -> Path:
    """Draw the page of one run again, or a page of several side by side, from their folders; returns its path.

    By default the page of one run is its report.html, and that of several is report.html in the current folder. Raises
    OptionError if nothing is named or the page cannot be written, DataError for a folder without the report of a run,
    and for runs of different tasks.
    """
    from jinja2 import UndefinedError  # slow to import

    folders = [Path(run) for run in runs]
    if not folders:
        raise OptionError("name the folder of a run, or of several.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise OptionError("a run is named twice; name each once.")
    findings = [_read(folder) for folder in folders]
    try:
        page = run_page(findings[0]) if len(folders) == 1 else side_by_side(folders, findings)
    except (KeyError, TypeError, IndexError, ValueError, UndefinedError) as error:
        names = " or ".join(str(folder / DATA) for folder in folders)
        raise DataError(f"{names} lacks values of the page ({error}); train again to write it.") from error
    target = Path(output_file) if output_file else folders[0] / PAGE if len(folders) == 1 else Path(PAGE)
    try:
        write_atomically(target, f"{page}\n")
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror}.") from error
    return target


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DATA
    if not path.is_file():
        content = "a run without a report" if (folder / "transfer.json").is_file() else "no run"
        raise DataError(
            f"{folder} holds {content}: there is no {DATA}, which a training recipe writes unless --report is false; "
            "name the folder of a run that has one."
        )
    try:
        findings = json.loads(path.read_text(encoding="utf-8"))
        version = findings["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged, or not of a run; train again to write it.") from error
    if version != VERSION:
        raise DataError(
            f"{path} has format version {version}, and this nlp_transfer reads version {VERSION}; use the nlp_transfer "
            "that wrote it, or train again."
        )
    return dict(findings)
