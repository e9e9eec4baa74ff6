"""Which files does a comparison leave?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from nlp_transfer.config import OutputOptions
from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.comparison_page import page
from nlp_transfer.experiments.compare.comparison_pictures import alone, curve_picture
from nlp_transfer.experiments.compare.comparison_table import as_csv, record
from nlp_transfer.experiments.compare.result import Comparison


def write_comparison(folder: ComparisonFolder, found: Comparison, *options: Any) -> None:
    """Write comparison.json, .csv and .html, curve.svg, and options.yaml, which repeats it, beside the trials.

    `options` are the dataclasses of options that it was given.
    """
    folder.write("comparison.json", json.dumps(as_dict(found), indent=1, ensure_ascii=False) + "\n")
    folder.write("comparison.csv", as_csv(found))
    begun = [
        replace(o, resume=None, overwrite_output_dir=False) if isinstance(o, OutputOptions) else o for o in options
    ]
    folder.write("comparison.html", page(found))
    folder.write("curve.svg", alone(curve_picture(found)))
    folder.write("options.yaml", to_yaml(*begun))


def as_dict(found: Comparison) -> dict[str, Any]:
    """Plain JSON values."""
    return {
        "task": found.task,
        "metric": found.metric,
        "split": found.split,
        "rows": found.rows,
        "verdict": found.verdict,
        "take": {"name": found.taken.entry.name, "flags": list(found.taken.entry.flags)},
        "notes": list(found.notes),
        "failures": dict(found.failures),
        "entries": [
            record(line, group)
            | {
                "gains": [
                    {"over": gain.over, **gain.difference._asdict(), "rows_needed": gain.rows_needed._asdict()}
                    for gain in line.gains
                ]
            }
            for group in found.groups
            for line in found.ranked(group)
        ],
    }
