"""The HTML page of several runs side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.errors import DataError
from nlp_transfer.heads import head_named
from nlp_transfer.metrics import RowCounts, difference, is_error
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.run.report.run_page import report_words
from nlp_transfer.run.report.run_pictures import runs_picture
from nlp_transfer.run.report.score_table import draws_for, gain
from nlp_transfer.run.report.wording import FORMATS, differing_options, public

_PREDICTIONS, _RUN = "predictions.jsonl", "transfer.json"


def side_by_side(folders: Sequence[Path], findings: Sequence[Mapping[str, Any]]) -> str:
    """One HTML page of several runs, made from their report.json and predictions.jsonl.

    Runs that were scored on the same rows are compared with the first one on the same bootstrap draws. DataError if
    their tasks differ, or predictions.jsonl cannot be read.
    """
    first = findings[0]
    for folder, other in zip(folders, findings, strict=True):
        if other["task"] != first["task"]:
            raise DataError(
                f"{folder} is a run of {other['task']} and {folders[0]} one of {first['task']}; name runs of one task."
            )
    for folder, other in zip(folders, findings, strict=True):
        if not other["scores"]:
            raise DataError(f"{folder} is a run without scored rows, which has no scores to compare; leave it out.")
    counts = _counts(folders[0], first)
    gains = [None if place == 0 else _gains(first, counts, folder, other)
             for place, (folder, other) in enumerate(zip(folders, findings, strict=True))]  # fmt: skip
    names = run_names(folders)
    labels = list(dict.fromkeys(line["name"] for other in findings for line in other.get("by_label", ())))
    return filled(
        "nlp_transfer.run.report",
        "several_runs.html",
        runs=list(zip(names, findings, gains, strict=True)),
        first=names[0],
        scores=[score["name"] for score in first["scores"]],
        lower_is_better=is_error,
        curves=runs_picture(names, [other["run"] for other in findings]),
        labels=[(label, [_f1(other, label) for other in findings]) for label in labels],
        options=[(name, [_option_text(other["options"].get(name)) for other in findings])
                 for name in differing_options([other["options"] for other in findings])],
        words=report_words(first),
        **FORMATS,
    )  # fmt: skip


def run_names(folders: Sequence[Path]) -> list[str]:
    """Names of runs: the last part of their paths, and more parts if these are equal."""
    paths = [folder.resolve() for folder in folders]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _gains(
    first: Mapping[str, Any], counts: RowCounts, folder: Path, other: Mapping[str, Any]
) -> dict[str, dict[str, float]] | None:
    """The gain of a run over the first, whose `counts` are given, by score; None if their scored rows differ."""
    if other["split"] != first["split"] or _hash_of_rows(other) != _hash_of_rows(first):
        return None
    gaps = difference(_counts(folder, other), counts, draws_for(len(counts)))
    return {name: gain(gap, is_error(name)) for name, gap in gaps.items()}


def _hash_of_rows(findings: Mapping[str, Any]) -> str:
    return str(findings["data"][findings["split"]]["sha256"])


def _counts(folder: Path, findings: Mapping[str, Any]) -> RowCounts:
    """What each row adds to the scores, from predictions.jsonl."""
    path = folder / _PREDICTIONS
    try:
        options = json.loads((folder / _RUN).read_text(encoding="utf-8"))["head"]
        head = head_named(findings["task"])(**options)
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        predictions = [head.prediction.from_record(line) for line in lines]
        return head.all_counts(predictions, [line["gold"] for line in lines])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} or {_RUN} beside it cannot be read, so no scores can be compared; train again."
        ) from error


def _f1(findings: Mapping[str, Any], label: str) -> float | None:
    return next((line["f1"] for line in findings.get("by_label", ()) if line["name"] == label), None)


def _option_text(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return " ".join(public(part) for part in parts) if value not in (None, []) else "–"
