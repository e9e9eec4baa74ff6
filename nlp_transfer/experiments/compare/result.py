"""What does a comparison come to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from nlp_transfer.errors import UserError
from nlp_transfer.experiments.compare.entries import Entry
from nlp_transfer.experiments.compare.summary import Group, Line, groups_of
from nlp_transfer.experiments.compare.verdict import chosen, notes, verdict
from nlp_transfer.metrics import is_error

_OF_TAGS = (
    "No majority label stands beside: a tag of no entity for each word has an F1 of 0. In place of TF-IDF, which reads "
    "whole texts, there is a gazetteer of the names in training."
)


@dataclass(frozen=True)
class Comparison:
    """Candidates beside baselines on each share of the rows, the largest first, and what to make of it.

    `split` names the rows that were scored, of which there are `rows`. `taken` is the line that the verdict tells to
    take, on most rows; where transfer does not pay it is a baseline. `failures` tells why trainings failed, by
    candidate.
    """

    task: str
    metric: str
    split: str
    rows: int
    groups: tuple[Group, ...]
    taken: Line
    verdict: str
    notes: tuple[str, ...]
    failures: Mapping[str, str]

    @classmethod
    def of(
        cls,
        entries: Sequence[Entry],
        task: str,
        metric: str,
        split: str,
        failures: Mapping[str, str],
        more_notes: Sequence[str] = (),
    ) -> Comparison:
        """What entries come to, `more_notes` told first. UserError where no candidate was trained."""
        groups = groups_of(entries, metric)
        if not groups:
            reasons = "; ".join(dict.fromkeys(failures.values()))
            raise UserError(f"no candidate could be trained and set beside a baseline: {reasons}")
        rows = len(groups[0].best.entry.counts[0])
        return cls(
            task,
            metric,
            split,
            rows,
            tuple(groups),
            chosen(groups[0], metric),
            verdict(groups[0], metric, rows),
            (*more_notes, *notes(groups, metric, split, failures), *([_OF_TAGS] if task == "ner" else [])),
            failures,
        )

    def ranked(self, group: Group) -> list[Line]:
        """Its lines, the best on validation first."""
        sign = 1 if is_error(self.metric) else -1
        return sorted(group.lines, key=lambda line: sign * mean(line.entry.validation))
