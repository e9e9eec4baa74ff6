"""The checks that every run makes, at the cost of a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nlp_transfer.checks.checked_rows import Part, parts_of
from nlp_transfer.checks.duplicates import repeated
from nlp_transfer.checks.encoding_errors import encoding_findings
from nlp_transfer.checks.finding import Finding, worst_first
from nlp_transfer.checks.label_counts import alike, count_labels
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import DataError

_LINES = 5


def check_quickly(splits: Splits, *, strict: bool = False) -> Splits:
    """The splits, noting in five lines at most what the exact checks found: leaks, contradictions, look-alike labels.

    Nothing is tokenized or searched for near duplicates. With `strict`, DataError where a row of validation or
    test is also in train.

    >>> splits = nt.check_quickly(nt.load_splits(data, "classification"))
    """
    findings = worst_first(_quick(parts_of(splits)))
    if strict:
        refuse_leaks(findings)
    weighty = [finding for finding in findings if finding.severity != "note"]
    shown = weighty if len(weighty) <= _LINES else weighty[: _LINES - 1]
    notes = [f"Data: {finding.what} ({finding.where})" for finding in shown]
    if len(shown) < len(weighty):
        notes.append(f"Data: {len(weighty) - len(shown)} more; nlp-transfer check_data shows all.")
    return splits.noting(*notes)


def refuse_leaks(findings: Iterable[Finding]) -> None:
    """Raise DataError where a row of validation or test is also in train word for word."""
    for finding in findings:
        if finding.kind == "leak" and finding.severity == "error":
            raise DataError(f"{finding.what} They are {finding.where}. {finding.mend} Or leave --strict_data out.")


def _quick(parts: tuple[Part, ...]) -> Iterator[Finding]:
    yield from repeated(parts)
    yield from encoding_findings(parts)
    if not parts[0].has_scores:
        yield from alike(parts, count_labels(parts), "entity type" if parts[0].is_tagged else "label")
