"""The files of a comparison: JSON, CSV, an HTML page, the learning curve, and the options that repeat it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

from nlp_transfer.config import OutputOptions
from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.experiments.compare.comparison import Comparison
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.comparison_pictures import alone, curve_picture, score_picture
from nlp_transfer.experiments.compare.comparison_table import as_csv, caption, curve_rows, gain_rows, record, rows_of
from nlp_transfer.experiments.training_command import training_command
from nlp_transfer.heads import head_named
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.run.report.wording import public


def write_comparison(folder: ComparisonFolder, comparison: Comparison, *options: Any) -> None:
    """Write comparison.json, .csv and .html, curve.svg, and options.yaml, which repeats it, beside the trials.

    `options` are the dataclasses of options that it was given.
    """
    folder.write("comparison.json", json.dumps(as_dict(comparison), indent=1, ensure_ascii=False) + "\n")
    folder.write("comparison.csv", as_csv(comparison))
    folder.write("comparison.html", page(comparison))
    folder.write("curve.svg", alone(curve_picture(comparison)))
    repeating = [
        replace(group, resume=None, overwrite_output_dir=False) if isinstance(group, OutputOptions) else group
        for group in options
    ]
    folder.write("options.yaml", to_yaml(*repeating))


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Plain JSON values."""
    return {
        "task": comparison.task,
        "metric": comparison.metric,
        "split": comparison.split,
        "rows": comparison.rows,
        "verdict": comparison.verdict,
        "take": {"name": comparison.taken.entry.name, "flags": list(comparison.taken.entry.flags)},
        "notes": list(comparison.notes),
        "failures": dict(comparison.failures),
        "entries": [
            record(line, group)
            | {
                "gains": [
                    {"over": gain.over, **gain.difference._asdict(), "rows_needed": gain.rows_needed._asdict()}
                    for gain in line.gains
                ]
            }
            for group in comparison.groups
            for line in comparison.ranked(group)
        ],
    }


def page(comparison: Comparison) -> str:
    """One HTML page that needs nothing else."""
    groups, flags = comparison.groups, [public(flag) for flag in comparison.taken.entry.flags]
    command = training_command(comparison.task, flags) if flags else None
    return filled(
        "nlp_transfer.experiments.compare",
        "comparison_page.html",
        task=head_named(comparison.task).title,
        verdict=comparison.verdict,
        notes=comparison.notes,
        command=f"{command} ..." if command else None,
        flags=shlex.join(flags),
        taken=comparison.taken.entry.name,
        pictures=[score_picture(comparison), *([curve_picture(comparison)] if len(groups) > 1 else [])],
        groups=[(caption(comparison, group), rows_of(comparison, group)) for group in groups],
        curve=curve_rows(comparison) if len(groups) > 1 else None,
        gains=gain_rows(comparison, whole=True),
        metric=comparison.metric,
    )
