"""The report of a data check as text for the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator

from nlp_transfer.checks.check_data import DataReport
from nlp_transfer.checks.label_counts import scores_in_words
from nlp_transfer.checks.mislabelled import suspect_in_words
from nlp_transfer.checks.read_for_checks import columns_in_words
from nlp_transfer.system.text import cut

_SHOWN = 10  # suspects
_LABELS = 8


def report_table(report: DataReport) -> str:
    """The findings, the worst first, as lines that fit the terminal."""
    width = max(60, min(120, shutil.get_terminal_size((100, 24)).columns))
    return "\n".join(_lines(report, width))


def _lines(report: DataReport, width: int) -> Iterator[str]:
    for part in report.parts:
        yield from textwrap.wrap(columns_in_words(part.name, part.rows), width, subsequent_indent="  ")
    yield from textwrap.wrap(_labels(report), width, subsequent_indent="  ")
    yield ""
    for finding in report.findings:
        yield from _entry(f"{finding.severity:<8} ", f"{finding.kind}: {finding.what}", width)
        if finding.places:
            yield from _entry(" " * 9, cut(finding.where, 2 * width), width)
        yield from _entry(" " * 9, f"-> {finding.mend}", width)
    if not report.findings:
        yield "No findings."
    for number, suspect in enumerate((report.suspects or ())[:_SHOWN], start=1):
        if number == 1:
            yield from ("", "Most doubtful labels:")
        yield from _entry(f"{number:>3} ", f"{suspect.place}: {suspect_in_words(suspect)} ({suspect.probability:.2f}): "
                          f"{cut(suspect.text, 100)}", width)  # fmt: skip


def _labels(report: DataReport) -> str:
    counts = report.counts["train"]
    if report.has_scores:
        return f"scores in train: {scores_in_words(counts)}"
    kind = "entities" if report.parts[0].is_tagged else "labels"
    shown = ", ".join(f"{cut(label, 40)} {count:,}" for label, count in list(counts.items())[:_LABELS])
    more = f" and {len(counts) - _LABELS} more" if len(counts) > _LABELS else ""
    return f"{kind} in train: {shown}{more}"


def _entry(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * len(head))
