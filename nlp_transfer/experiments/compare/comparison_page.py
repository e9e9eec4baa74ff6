"""What does a person with a browser see of a comparison?"""

from __future__ import annotations

import shlex

from nlp_transfer.experiments.compare.comparison_pictures import curve_picture, score_picture
from nlp_transfer.experiments.compare.comparison_table import caption, curve_rows, gain_rows, rows_of
from nlp_transfer.experiments.compare.result import Comparison
from nlp_transfer.heads import head_named
from nlp_transfer.run.html.page_shell import filled
from nlp_transfer.run.report.wording import public

_RECIPES = {"ner": "ner", "sentiment": "sentiment"}


def page(found: Comparison) -> str:
    """One HTML page that needs nothing else."""
    flags = found.taken.entry.flags
    recipe = _RECIPES.get(found.task, "classify")
    return filled(
        "nlp_transfer.experiments.compare",
        "comparison_page.html",
        task=head_named(found.task).title,
        verdict=found.verdict,
        notes=found.notes,
        command=f"accelerate launch recipes/{recipe}.py {shlex.join(public(flag) for flag in flags)} ..."
        if flags
        else None,
        taken=found.taken.entry.name,
        pictures=[score_picture(found), *([curve_picture(found)] if len(found.groups) > 1 else [])],
        groups=[(caption(found, group), rows_of(found, group)) for group in found.groups],
        curve=curve_rows(found) if len(found.groups) > 1 else None,
        gains=gain_rows(found, whole=True),
        metric=found.metric,
    )
