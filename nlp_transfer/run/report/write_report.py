"""Writing the report of a run into its folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import Report
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.run.report.redraw import DATA, PAGE, VERSION
from nlp_transfer.run.report.run_findings import run_findings
from nlp_transfer.run.report.run_page import run_page
from nlp_transfer.system.atomic_files import write_atomically

log = logging.getLogger(__name__)


def write_run_report(
    folder: Path, model: TransferModel, splits: Splits, report: Report, transfer: Mapping[str, Any]
) -> None:
    """Write report.json, the findings, from which the page can be drawn again, and report.html, the page.

    An error here is logged as a warning and does not fail the run, whose model and scores are written already.
    """
    try:
        findings = {"version": VERSION, **run_findings(model, splits, report, transfer)}
        write_atomically(folder / DATA, json.dumps(findings, ensure_ascii=False, allow_nan=False) + "\n")
        write_atomically(folder / PAGE, run_page(findings) + "\n")
    except Exception as error:
        log.warning("No %s was written: %s: %s", PAGE, type(error).__name__, " ".join(str(error).split()))
