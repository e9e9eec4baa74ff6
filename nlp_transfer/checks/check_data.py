"""All checks of a data set, and their report."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_transfer.checks.checked_rows import Part, parts_of
from nlp_transfer.checks.duplicates import repeated
from nlp_transfer.checks.encoding_errors import encoding_findings
from nlp_transfer.checks.finding import Finding, worst_first
from nlp_transfer.checks.label_counts import Counts, count_labels, label_findings
from nlp_transfer.checks.mislabelled import Suspect, suspect_findings, suspect_in_words, suspects
from nlp_transfer.checks.near_duplicates import near_findings
from nlp_transfer.checks.odd_tags import tag_findings
from nlp_transfer.checks.read_for_checks import refusals
from nlp_transfer.checks.tokenization import count_tokens, token_findings
from nlp_transfer.config import CacheOptions, CheckOptions, ModelOptions
from nlp_transfer.data.labels import problem_of
from nlp_transfer.data.row_store import values
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class DataReport:
    """The findings on a data set, as plain data.

    `counts` is how often each label occurs in each split, `lengths` the tokens of each row of a split, and `overlaps`
    how many rows of a split are also in another: (split, other) -> (exactly, nearly).
    """

    task: str
    parts: tuple[Part, ...]
    counts: Counts
    lengths: Mapping[str, np.ndarray]
    max_length: int | None
    encoder: str | None
    findings: tuple[Finding, ...]
    suspects: tuple[Suspect, ...] | None
    seconds: float = 0.0
    has_scores: bool = field(default=False)

    @property
    def overlaps(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Of every split and each before it, rows that are in both: exactly, and nearly."""
        counts = {}
        for place, part in enumerate(self.parts):
            for earlier in self.parts[:place]:
                exact, near = (self._shared(kind, part.name, earlier.name) for kind in ("leak", "near_leak"))
                counts[part.name, earlier.name] = (exact, near)
        return counts

    def _shared(self, kind: str, split: str, other: str) -> int:
        return sum(
            len(finding.places)
            for finding in self.findings
            if finding.kind == kind and finding.repeats == other and finding.places[0].split == split
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "task": self.task,
            "encoder": self.encoder,
            "max_length": self.max_length,
            "splits": {
                part.name: {
                    "file": part.rows.source,
                    "rows": len(part),
                    "columns": dict(part.rows.columns),
                    "columns_found": list(part.rows.file_columns),
                    "labels": dict(self.counts[part.name]),
                    "tokens": _quantiles(self.lengths[part.name]) if part.name in self.lengths else None,
                }
                for part in self.parts
            },
            "overlaps": [
                {"split": split, "other": other, "exact": exact, "near": near}
                for (split, other), (exact, near) in self.overlaps.items()
            ],
            "findings": [finding.as_dict() for finding in self.findings],
            "label_errors": None
            if self.suspects is None
            else [s._asdict() | {"place": s.place._asdict(), "told": suspect_in_words(s)} for s in self.suspects],
            "seconds": round(self.seconds, 1),
        }


def check_data(
    splits: Splits,
    task: str = "classification",
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_length: int = 256,
    options: CheckOptions | None = None,
    model_options: ModelOptions | None = None,
    cache: CacheOptions | None = None,
    *,
    more: Sequence[Finding] = (),
) -> DataReport:
    """Look at the rows of all splits; nothing is changed. `more` are findings made while reading them.

    Without a tokenizer, tokens are not checked. Needs datasketch, and for label errors cleanlab (extra `check`).

    >>> report = check_data(splits)
    >>> [finding.what for finding in report.findings if finding.severity == "error"]
    """
    options, model_options = options or CheckOptions(), model_options or ModelOptions()
    began = time.perf_counter()
    parts = parts_of(splits)
    counts = count_labels(parts)
    encoder = model_options.model_name_or_path
    tokens = {part.name: count_tokens(part, tokenizer) for part in parts} if tokenizer else {}
    findings = [*more, *_findings(splits, parts, task, counts, options.near_duplicates)]
    if tokens:
        findings += token_findings(parts, tokens, max_length, encoder)
    doubted = None
    if options.label_errors:
        if unfit := _unfit(parts, findings):
            reason, mend = unfit
            findings.append(Finding("warning", "label_errors", f"Label errors were not checked: {reason}.", mend))
        else:
            doubted = suspects(splits, parts, model_options, cache, options.seed, options.label_errors)
            findings += suspect_findings(doubted, _items(parts), parts[0].is_tagged)
    return DataReport(
        task,
        parts,
        counts,
        {name: some.lengths for name, some in tokens.items()},
        max_length if tokenizer else None,
        encoder if tokenizer else None,
        worst_first(findings),
        doubted,
        time.perf_counter() - began,
        parts[0].has_scores,
    )


def require_packages(options: CheckOptions) -> None:
    """Raise OptionError where a package of the extra `check` is missing, before anything is read."""
    needed = ["datasketch"] if options.near_duplicates else []
    needed += ["cleanlab"] if options.label_errors else []
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(
            f"checking data needs {' and '.join(missing)}, not installed here; install with: "
            'pip install "nlp-transfer[check]"'
        )


def _findings(splits: Splits, parts: Sequence[Part], task: str, counts: Counts, threshold: float) -> Iterator[Finding]:
    yield from refusals(splits)
    yield from repeated(parts)
    yield from encoding_findings(parts)
    yield from label_findings(parts, counts)
    if parts[0].is_tagged:
        yield from tag_findings(parts)
    if threshold:
        yield from near_findings(parts, threshold)


def _unfit(parts: Sequence[Part], findings: Sequence[Finding]) -> tuple[str, str] | None:
    """Why labels cannot be checked for errors, if they cannot, and what to do about it."""
    if any(finding.kind in ("refused", "tag_scheme") for finding in findings):
        return "a run would stop at these labels", "Mend what is reported above, and look again."
    if parts[0].has_scores:
        return "the labels are scores", "The check is for names; --problem single_label takes each number as one."
    if not parts[0].is_tagged and problem_of(parts[0].rows.data) == "multi_label":
        return (
            "rows have several labels",
            "Check one label at a time: a yes/no column, named with --label_column_name.",
        )
    return None


def _items(parts: Sequence[Part]) -> int:
    if not parts[0].is_tagged:
        return sum(map(len, parts))
    return sum(len(words) for part in parts for words in values(part.rows.data, "words"))


def _quantiles(lengths: np.ndarray) -> dict[str, float]:
    names = {"median": 0.5, "p95": 0.95, "longest": 1.0}
    return {"mean": round(float(lengths.mean()), 1)} | {n: float(np.quantile(lengths, q)) for n, q in names.items()}
