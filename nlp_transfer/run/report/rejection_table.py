"""The table of a report on texts unlike anything in training."""

from __future__ import annotations

from collections.abc import Sequence

from nlp_transfer.decoding.rejection import Rejection
from nlp_transfer.run.report.report_parts import ReportTable


def rejection_tables(rejection: Rejection | None) -> Sequence[ReportTable]:
    """How many rows are marked as unknown, and how well unknown ones are told; nothing where that was not fitted."""
    if rejection is None:
        return ()
    findings = rejection.findings
    rows = [_row(findings["split"], findings["marked"], findings["rows"], None, None)]
    if unknown := findings.get("unknown"):
        measured = (unknown["auroc"], unknown["auroc_of_probability"])
        rows.append(_row("unknown", unknown["marked"], unknown["rows"], *measured))
    tried = ", ".join(f"{name} {value:.3f}" for name, value in findings["auroc_of_left_out_labels"].items())
    heading = f"Unknown texts, told by {rejection.method}" + f" (with labels left out: {tried})" * bool(tried)
    return (ReportTable(heading, ("rows", "marked as unknown", "of", "AUROC", "AUROC of the probability"), rows),)


def _row(name: str, marked: int, rows: int, *measured: float | None) -> Sequence[str]:
    return (name, f"{marked:,}", f"{rows:,}", *("" if one is None else f"{one:.3f}" for one in measured))
