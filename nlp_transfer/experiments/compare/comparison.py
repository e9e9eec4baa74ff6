"""Comparison of candidates on the same rows: their training in trials, and what follows from the results."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from nlp_transfer.config import CacheOptions, CompareOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import ModelError, OptionError, UserError
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.entries import Entry, entries_of
from nlp_transfer.experiments.compare.shared_rows import SharedRows
from nlp_transfer.experiments.compare.summary import Group, Line, groups_of
from nlp_transfer.experiments.compare.trial_processes import run_trials, workers_for
from nlp_transfer.experiments.compare.trial_results import Job, run_trial
from nlp_transfer.experiments.compare.verdict import chosen, notes, verdict
from nlp_transfer.experiments.trial import Trial, TrialSetup
from nlp_transfer.experiments.trial_fingerprint import encoder_weights, fingerprint
from nlp_transfer.heads import TaskHead, head_named
from nlp_transfer.metrics import is_error
from nlp_transfer.run.report.wording import without_folders
from nlp_transfer.training.checkpointing.fingerprint import Identity, versions
from nlp_transfer.training.option_check import require_score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Candidates beside baselines on each share of the rows, the largest first, and the verdict on them.

    `split` names the rows that were scored, of which there are `rows`. `taken` is the line that the verdict tells to
    take, on most rows; where transfer does not pay it is a baseline. `failures` are the reasons of trainings that
    failed, by candidate.
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
        """The comparison of entries, `more_notes` first. UserError where no candidate was trained."""
        groups = groups_of(entries, metric)
        if not groups:
            reasons = "; ".join(dict.fromkeys(failures.values()))
            raise UserError(f"no candidate could be trained and set beside a baseline: {reasons}")
        rows = len(groups[0].best.entry.counts[0])
        baselines_note = head_named(task).baselines_note
        return cls(
            task,
            metric,
            split,
            rows,
            tuple(groups),
            chosen(groups[0], metric),
            verdict(groups[0], metric, rows),
            (*more_notes, *notes(groups, metric, split, failures), *filter(None, [baselines_note])),
            failures,
        )

    def ranked(self, group: Group) -> list[Line]:
        """Its lines, the best on validation first."""
        sign = 1 if is_error(self.metric) else -1
        return sorted(group.lines, key=lambda line: sign * mean(line.entry.validation))


def compare(
    folder: ComparisonFolder,
    candidates: Sequence[Candidate],
    *,
    splits: Splits,
    head: TaskHead,
    options: CompareOptions | None = None,
    model: ModelOptions | None = None,
    training: TrainingOptions | None = None,
    cache: CacheOptions | None = None,
) -> Comparison:
    """Train and score each candidate on each fraction with each seed, and compare the results.

    The results of each training are written to `folder`; what is there already is not trained again. A training that
    fails is reported with its reason, and stops no other. A program of its own calls this under `if __name__ ==
    "__main__"`, for each training is a new process. Raises OptionError for a metric that the task does not have, and
    where there are no validation rows to choose by; UserError where no candidate could be trained.

    >>> candidates = nt.candidates_from(["lora", "full"], ["all-MiniLM-L6-v2"])
    >>> comparison = nt.compare(folder, candidates, splits=splits, head=head)
    >>> print(comparison.verdict)
    """
    options, model, training = options or CompareOptions(), model or ModelOptions(), training or TrainingOptions()
    _validate_options(options, training)
    if splits.validation is None:
        raise OptionError(
            "a comparison chooses on validation rows, and there are none; give a --validation_file, or leave "
            "--validation_split_percentage above 0."
        )
    metric = options.metric or training.metric_for_best_model or head.best_metric
    require_score(metric, head, splits.validation, "metric", but=("loss",))
    weights, missing_encoders = _weights_of(candidates, model)
    if missing_encoders and not weights:
        raise ModelError(next(iter(missing_encoders.values())))
    setup = TrialSetup(head, model, replace(training, metric_for_best_model=metric), cache or CacheOptions())
    folder.open_for(fingerprint(setup, splits, candidates) | weights)
    try:
        trials = trials_of(candidates, options, training.seed)
        of_other_versions = other_versions(folder, trials)
        for note in of_other_versions:
            log.warning(note)
        failures = {
            trial.name: missing_encoders[trial.candidate.encoder]
            for trial in trials
            if trial.candidate.encoder in missing_encoders
        }
        for encoder, reason in missing_encoders.items():
            log.warning("%s is left out: %s", encoder, reason)
        possible = [trial for trial in trials if trial.name not in failures]
        if missing := sum(not folder.has(trial.name) for trial in possible):
            rows = SharedRows.write(splits, folder.rows)
            workers = workers_for(options.workers, missing)
            log.info("%d trainings, %d at once.", len(possible), workers)
            try:
                failures |= run_trials(possible, Job(setup, rows), folder, run_trial, workers)
            finally:
                rows.remove()
    finally:
        folder.close()
    split = "test" if splits.test else "validation"
    entries = entries_of(folder, possible, head, metric, split)
    return Comparison.of(entries, head.task, metric, split, _by_candidate(trials, failures), of_other_versions)


def _validate_options(options: CompareOptions, training: TrainingOptions) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise OptionError("a comparison starts its processes itself (--workers); start it as one process.")
    if training.processes > 1:
        raise OptionError(f"--processes {training.processes} is for one run; say with --workers how many run at once.")
    for name in ("report_to", "checkpoint_every"):
        if getattr(training, name):
            raise OptionError(f"compare saves no model; leave --{name} out.")
    best = training.metric_for_best_model
    if options.metric and best not in (None, options.metric):
        raise OptionError(
            f"--metric {options.metric} also chooses the best weights; leave out --metric_for_best_model."
        )


def _weights_of(candidates: Sequence[Candidate], model: ModelOptions) -> tuple[Identity, dict[str, str]]:
    """The digests of the weights of the encoders; and, of those that cannot be loaded, the reasons, by encoder."""
    weights: Identity = {}
    missing = {}
    for encoder in dict.fromkeys(c.encoder for c in candidates if c.encoder):
        try:
            weights |= encoder_weights(encoder, model)
        except UserError as error:
            missing[encoder] = str(error)
    return weights, missing


def trials_of(candidates: Sequence[Candidate], options: CompareOptions, seed: int) -> list[Trial]:
    """All trials: first those of the first seed, from the largest share of the rows to the smallest."""
    return [
        Trial(candidate, fraction, number)
        for number in range(seed, seed + options.seeds)
        for fraction in reversed(options.shares)
        for candidate in candidates
    ]


def other_versions(folder: ComparisonFolder, trials: Sequence[Trial]) -> list[str]:
    """A sentence on the results in `folder` that came from other versions than those installed; none where none did.

    They are reported and not refused: a new release of a library need not cost the hours that were spent.
    """
    now, count = versions(), 0
    before: dict[str, set[str]] = {}
    for trial in trials:
        recorded = folder.result(trial.name).get("versions", {}) if folder.has(trial.name) else {}
        changed = {name: recorded[name] for name in now if name in recorded and recorded[name] != now[name]}
        count += bool(changed)
        for name, number in changed.items():
            before.setdefault(name, set()).add(number)
    if not count:
        return []
    named = "; ".join(f"{name} {', '.join(sorted(numbers))} (now {now[name]})" for name, numbers in before.items())
    return [f"{count} of {len(trials)} trainings come from other versions, which may be why scores differ: {named}."]


def _by_candidate(trials: Sequence[Trial], failures: Mapping[str, str]) -> dict[str, str]:
    """The reasons of failures by the name of the candidate, one that several trainings share once."""
    reasons: dict[str, list[str]] = {}
    for trial in trials:
        if trial.name in failures:  # pages are published, and the log has the full paths
            reasons.setdefault(trial.candidate.name, []).append(without_folders(failures[trial.name]))
    counts = Counter(trial.candidate.name for trial in trials)
    return {
        name: "; ".join(f"{one} ({its.count(one)} of {counts[name]} trainings)" for one in dict.fromkeys(its))
        for name, its in reasons.items()
    }
