"""What does a report leave in the folder of a run?"""

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
    """Write report.json, for programs and to draw again, and report.html, one page for people.

    Whatever goes wrong here is told in the log and costs no one the run: its model and scores are written already.
    """
    try:
        found = {"version": VERSION, **run_findings(model, splits, report, transfer)}
        write_atomically(folder / DATA, json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n")
        write_atomically(folder / PAGE, run_page(found) + "\n")
    except Exception as error:
        log.warning("No %s was written: %s: %s", PAGE, type(error).__name__, " ".join(str(error).split()))
