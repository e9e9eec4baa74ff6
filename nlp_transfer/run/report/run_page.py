"""The page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_transfer.heads import head_named
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.run.report.confusion_matrix import matrix_picture
from nlp_transfer.run.report.entity_errors import KINDS
from nlp_transfer.run.report.run_pictures import coverage_picture, curve_pictures, number_pictures, reliability_picture
from nlp_transfer.run.report.slices import FEWEST_ROWS
from nlp_transfer.run.report.wording import FORMS, calibration_told, options_told, verdict

_PAIRS = 15  # of labels that are taken for each other
_FEW_LABELS = 12  # whose table stands open


def run_page(found: Mapping[str, Any]) -> str:
    """One HTML page that needs nothing else, made of what report.json holds."""
    words = report_words(found)
    has_labels = "confusion" in found
    matrix = matrix_picture(found["labels"], found["confusion"]) if has_labels else None
    trust = [reliability_picture(found), coverage_picture(found["coverage"])] if found.get("coverage") else []
    wrong = [pair for pair in found["confusion"] if pair[0] != pair[1]] if has_labels else []
    return filled(
        "nlp_transfer.run.report",
        "run_page.html",
        found=found,
        verdict=verdict(found),
        curves=curve_pictures(found["run"]),
        matrix=matrix,
        pairs=wrong[:_PAIRS],
        pairs_in_all=len(wrong),
        few_labels=_FEW_LABELS,
        trust=[picture for picture in trust if picture],
        numbers=number_pictures(found) if "points" in found else [],
        kinds=KINDS,
        fewest=FEWEST_ROWS,
        title=title_of(found),
        words=words,
        calibration_told=calibration_told(found, words),
        options=options_told(found["options"]),
        **FORMS,
    )


def title_of(found: Mapping[str, Any]) -> str:
    """What a person calls the task; reports of earlier versions name the task alone."""
    return str(found.get("title") or head_named(found["task"]).title)


def report_words(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The report words of the head, and whether `predict` can abstain; those of earlier versions are looked up."""
    if "words" in found:
        return dict(found["words"])
    head = head_named(found["task"])
    return {**head.report_words, "abstains": head.no_confidence is None}
