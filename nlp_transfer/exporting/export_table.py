"""The table of exported forms, as plain text and in the report of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_transfer.errors import UserError
from nlp_transfer.run.report.redraw import DATA, draw_reports
from nlp_transfer.run.report.report_parts import ReportTable

if TYPE_CHECKING:
    from nlp_transfer.exporting.forms import Export

_HEADING = "Exported forms"


def export_table(export: Export) -> str:
    """What was measured of each form, and of the run itself, as plain text."""
    table = _table(export)
    lines = [[str(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in lines
    )


def add_to_report(run: str | Path, export: Export) -> bool:
    """Show the table in the report of a run, in place of that of an earlier export; returns whether it has a report."""
    path = Path(run) / DATA
    if not path.is_file():
        return False
    try:
        findings = json.loads(path.read_text(encoding="utf-8"))
        others = [table for table in findings.get("tables", []) if table["heading"] != _HEADING]
        findings["tables"] = [*others, _table(export)._asdict()]
        path.write_text(json.dumps(findings, ensure_ascii=False) + "\n", encoding="utf-8")
        draw_reports([run])
    except (OSError, ValueError, KeyError, TypeError, UserError):  # an export does not fail for an earlier report
        return False
    return True


def _table(export: Export) -> ReportTable:
    columns = ("form", "MB", "agreement", export.metric, "logits differ", "texts/s alone", "texts/s in batches")
    rows = [
        (
            form.name + " (taken)" * (form.name == export.taken) + " (refused)" * bool(form.fault),
            f"{form.bytes / 1e6:.1f}" if form.bytes else "",
            f"{form.comparison.agreement:.1f}%",
            f"{form.comparison.score:.4f}",
            f"{form.comparison.largest_difference:.1e}",
            *((f"{form.speed.alone:.0f}", f"{form.speed.in_batches:.0f}") if form.speed else ("", "")),
        )
        for form in export.forms
    ]
    return ReportTable(_HEADING, columns, rows)
