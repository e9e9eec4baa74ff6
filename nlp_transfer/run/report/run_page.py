"""The HTML page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_transfer.heads import head_named
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.run.report.confusion_matrix import matrix_picture
from nlp_transfer.run.report.entity_errors import KINDS
from nlp_transfer.run.report.run_pictures import coverage_picture, curve_pictures, number_pictures, reliability_picture
from nlp_transfer.run.report.slices import FEWEST_ROWS
from nlp_transfer.run.report.wording import FORMATS, calibration_sentence, expectation_sentence, option_texts, verdict

_PAIRS = 15  # of labels that are most often confused
_FEW_LABELS = 12  # whose table is open


def run_page(findings: Mapping[str, Any]) -> str:
    """One self-contained HTML page, made from the content of report.json."""
    words = report_words(findings)
    has_labels = "confusion" in findings
    matrix = matrix_picture(findings["labels"], findings["confusion"]) if has_labels else None
    trust = [reliability_picture(findings), coverage_picture(findings["coverage"])] if findings.get("coverage") else []
    wrong = [pair for pair in findings["confusion"] if pair[0] != pair[1]] if has_labels else []
    return filled(
        "nlp_transfer.run.report",
        "run_page.html",
        findings=findings,
        verdict=verdict(findings),
        expectation=expectation_sentence(findings),
        curves=curve_pictures(findings["run"]),
        matrix=matrix,
        pairs=wrong[:_PAIRS],
        pairs_in_all=len(wrong),
        few_labels=_FEW_LABELS,
        trust=[picture for picture in trust if picture],
        numbers=number_pictures(findings) if "points" in findings else [],
        kinds=KINDS,
        fewest=FEWEST_ROWS,
        title=title_of(findings),
        words=words,
        calibration=calibration_sentence(findings, words),
        options=option_texts(findings["options"]),
        **FORMATS,
    )


def title_of(findings: Mapping[str, Any]) -> str:
    """The title of the task; reports of earlier versions have its name alone."""
    return str(findings.get("title") or head_named(findings["task"]).title)


def report_words(findings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The report words of the head, and whether `predict` can abstain; reports of earlier versions lack both."""
    if "words" in findings:
        return dict(findings["words"])
    head = head_named(findings["task"])
    return {**head.report_words, "abstains": head.no_confidence is None}
