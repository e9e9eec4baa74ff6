"""The files of a data check: check.json for programs, check.html for people."""

from __future__ import annotations

import json
from pathlib import Path

from nlp_transfer.checks.check_data import DataReport
from nlp_transfer.checks.check_pictures import pictures
from nlp_transfer.checks.finding import SEVERITIES
from nlp_transfer.checks.mislabelled import suspect_in_words
from nlp_transfer.checks.read_for_checks import columns_in_words
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.system.text import cut

_SUSPECTS = 50


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


def page(report: DataReport) -> str:
    """One HTML page that needs nothing else: no script, no network, the pictures in it, and no text taken for code."""
    drawn = pictures(
        report.counts,
        report.lengths,
        report.max_length,
        report.overlaps,
        {part.name: len(part) for part in report.parts},
        report.has_scores,
    )
    return filled(
        "nlp_transfer.checks",
        "check_page.html",
        task=report.task,
        encoder=report.encoder,
        seconds=report.seconds,
        splits=[columns_in_words(part.name, part.rows) for part in report.parts],
        severities=[(severity, sum(f.severity == severity for f in report.findings)) for severity in SEVERITIES],
        findings=report.findings,
        pictures=drawn,
        counts=None if report.has_scores else report.counts,
        suspects=[(s, suspect_in_words(s), cut(s.text)) for s in (report.suspects or ())[:_SUSPECTS]],
        suspects_in_all=len(report.suspects or ()),
    )
