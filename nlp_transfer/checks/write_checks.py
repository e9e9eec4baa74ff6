"""What does a check leave on disk?"""

from __future__ import annotations

import json
from pathlib import Path

from nlp_transfer.checks.check_data import DataReport
from nlp_transfer.checks.check_page import page


def write_report(folder: Path, report: DataReport) -> None:
    """Write check.json, for programs, and check.html, one page for people.

    Where spans of characters do not fall on words, misaligned.txt lists these.
    """
    text = json.dumps(report.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    files = {"check.json": text, "check.html": page(report)}
    if lines := dict.fromkeys(line for part in report.parts for line in part.rows.misaligned):
        files["misaligned.txt"] = "\n".join(lines)
    for name, content in files.items():
        # The name of a file need not be UTF-8: such bytes are written as \udc.. .
        (folder / name).write_text(f"{content}\n", encoding="utf-8", errors="backslashreplace")
