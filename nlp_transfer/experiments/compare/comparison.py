"""How are candidates set side by side on the same rows?"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_transfer.config import CacheOptions, CompareOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.pretrained import Checkpoint
from nlp_transfer.errors import ModelError, OptionError, UserError
from nlp_transfer.experiments.compare.candidates import Candidate
from nlp_transfer.experiments.compare.comparison_folder import ComparisonFolder
from nlp_transfer.experiments.compare.entries import entries_of
from nlp_transfer.experiments.compare.result import Comparison
from nlp_transfer.experiments.compare.shared_rows import SharedRows
from nlp_transfer.experiments.compare.trial_processes import run_trials, workers_for
from nlp_transfer.experiments.compare.trial_results import do
from nlp_transfer.experiments.compare.versions import of_other_versions
from nlp_transfer.experiments.trial import Job, Trial
from nlp_transfer.heads import TaskHead
from nlp_transfer.run.report.wording import without_folders
from nlp_transfer.system import hardware
from nlp_transfer.training.checkpointing.fingerprint import content, files_of
from nlp_transfer.training.loop import require_score

log = logging.getLogger(__name__)

_FREE = ("seed", "logging_steps", "report_to", "verify", "checkpoint_every", "keep_checkpoints",
         "metric_for_best_model")  # fmt: skip


def compare(
    folder: ComparisonFolder,
    candidates: Sequence[Candidate],
    splits: Splits,
    head: TaskHead,
    options: CompareOptions | None = None,
    model: ModelOptions | None = None,
    training: TrainingOptions | None = None,
    cache: CacheOptions | None = None,
) -> Comparison:
    """Train and score each candidate on each fraction with each seed, and set them side by side.

    What came of each training lies in `folder`; what is there already is not done again. A training that fails is told
    with its reason, and stops no other. A program of its own calls this under `if __name__ == "__main__"`, for each
    training is a new process. Raises OptionError for a metric that the task has not, and where there are no validation
    rows to choose by; UserError where no candidate could be trained.

    >>> found = nt.compare(folder, nt.candidates_from(["lora", "full"], ["all-MiniLM-L6-v2"]), splits, head)
    >>> print(found.verdict)
    """
    options, model = options or CompareOptions(), model or ModelOptions()
    training, cache = training or TrainingOptions(), cache or CacheOptions()
    _validate_options(options, training)
    if splits.validation is None:
        raise OptionError(
            "a comparison chooses on validation rows, and there are none; give a --validation_file, or leave "
            "--validation_split_percentage above 0."
        )
    metric = options.metric or training.metric_for_best_model or head.best_metric
    require_score(metric, head, splits.validation, "metric", but=("loss",))
    weights, lost = _weights_of(candidates, model)
    if lost and not weights:
        raise ModelError(next(iter(lost.values())))
    folder.open_for(_identity(splits, head, metric, model, training, cache) | weights | _files_of(candidates))
    try:
        trials = trials_of(candidates, options, training.seed)
        older = of_other_versions(folder, trials)
        for said in older:
            log.warning(said)
        failures = {trial.name: lost[trial.candidate.encoder] for trial in trials if trial.candidate.encoder in lost}
        for encoder, reason in lost.items():
            log.warning("%s is left out: %s", encoder, reason)
        possible = [trial for trial in trials if trial.name not in failures]
        if missing := sum(not folder.has(trial.name) for trial in possible):
            rows = SharedRows.write(splits, folder.rows)
            workers = workers_for(options.workers, missing)
            log.info("%d trainings, %d at once.", len(possible), workers)
            try:
                job = Job(rows, head, model, training, cache, metric)
                failures |= run_trials(possible, job, folder, do, workers)
            finally:
                rows.remove()
    finally:
        folder.close()
    split = "test" if splits.test else "validation"
    entries = entries_of(folder, possible, head, metric, split)
    return Comparison.of(entries, head.task, metric, split, _by_candidate(trials, failures), older)


def _validate_options(options: CompareOptions, training: TrainingOptions) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise OptionError("a comparison starts its processes itself (--workers); launch one of it, with plain python.")
    for name in ("report_to", "checkpoint_every"):
        if getattr(training, name):
            raise OptionError(f"--{name} is for runs whose model is kept, which a comparison does not; leave it out.")
    best = training.metric_for_best_model
    if options.metric and best not in (None, options.metric):
        raise OptionError(
            f"--metric {options.metric} also chooses the best weights; leave out --metric_for_best_model."
        )


def _by_candidate(trials: Sequence[Trial], failures: Mapping[str, str]) -> dict[str, str]:
    """Why candidates failed, by name: once for all trainings of one where they failed alike."""
    reasons: dict[str, list[str]] = {}
    for trial in trials:
        if trial.name in failures:  # pages are published, and the log has told the whole paths
            reasons.setdefault(trial.candidate.name, []).append(without_folders(failures[trial.name]))
    counts = Counter(trial.candidate.name for trial in trials)
    return {
        name: "; ".join(f"{said} ({told.count(said)} of {counts[name]} trainings)" for said in dict.fromkeys(told))
        for name, told in reasons.items()
    }


def trials_of(candidates: Sequence[Candidate], options: CompareOptions, seed: int) -> list[Trial]:
    """All trials: first those of the first seed, from the largest share of the rows to the smallest."""
    return [
        Trial(candidate, fraction, number)
        for number in range(seed, seed + options.seeds)
        for fraction in reversed(options.shares)
        for candidate in candidates
    ]


def _identity(
    splits: Splits, head: TaskHead, metric: str, model: ModelOptions, training: TrainingOptions, cache: CacheOptions
) -> dict[str, Any]:
    """What of a comparison may not change while trials are added to it, by the name that a user knows it by."""
    told = {f"--{name}": value for name, value in vars(training).items() if name not in _FREE}
    told["--mixed_precision"] = hardware.precision(training.mixed_precision)
    told |= {"--metric": metric, "the task": head.task, "--cache_dtype": cache.cache_dtype}
    told |= {f"--{name}": value for name, value in head.options().items() if name != "labels"}
    told |= {f"--{name}": getattr(model, name) for name in ("max_length", "model_revision", "keep_head")}
    told |= {"the labels": list(head.labels)}
    for name, rows in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        told[f"the {name} rows"] = f"#{rows.sha256}" if rows else None
    return told


def _files_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """What the files hold that options of candidates name."""
    told = {f"--{option} of {c.name}": (value, content(value)) for c in candidates for option, value in c.options}
    return {name: held for name, (value, held) in told.items() if held != value}


def _weights_of(candidates: Sequence[Candidate], model: ModelOptions) -> tuple[dict[str, str], dict[str, str]]:
    """What tells the weights of each encoder; and why, of each that cannot be had."""
    found, lost = {}, {}
    for encoder in dict.fromkeys(c.encoder for c in candidates if c.encoder):
        try:
            checkpoint = Checkpoint.find(
                encoder, revision=model.model_revision, trust_remote_code=model.trust_remote_code
            )
            found[f"the weights of {encoder}"] = files_of(Path(checkpoint.source))
        except UserError as error:
            lost[encoder] = str(error)
    return found, lost
