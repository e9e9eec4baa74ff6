"""The search for the options that score best on validation rows."""

from __future__ import annotations

import copy
import importlib.util
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nlp_transfer.config import (
    CacheOptions,
    DataOptions,
    ModelOptions,
    NEROptions,
    SentimentOptions,
    TrainingOptions,
    TuningOptions,
)
from nlp_transfer.data.splits import Splits
from nlp_transfer.errors import OptionError, UserError
from nlp_transfer.experiments.task_rows import read_task, task_options_from
from nlp_transfer.experiments.training_command import training_command
from nlp_transfer.experiments.trial import TrialSetup
from nlp_transfer.experiments.trial_fingerprint import encoder_weights, fingerprint
from nlp_transfer.experiments.tune.search import BEST, Search, Tried
from nlp_transfer.experiments.tune.search_space import space_of, usual
from nlp_transfer.experiments.tune.tuning_trials import Runs
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import StrategyOptions
from nlp_transfer.strategies.full import Full
from nlp_transfer.training.defaults import with_defaults
from nlp_transfer.training.option_check import require_score

log = logging.getLogger(__name__)

_FEW = 1000  # validation rows, under which a point of accuracy may be chance


@dataclass(frozen=True)
class Tuned:
    """All trials, the best first; the file of the best one's options, and the command that trains with them.

    No command trains the head of another package.
    """

    trials: Sequence[Tried]
    metric: str
    validation_rows: int
    best: Path
    command: str | None

    def next_step(self) -> str:
        """A sentence on where the best options are and how to train with them."""
        how = self.command or f"read them with nt.parse(..., argv=['--config', '{self.best}']) and call nt.fit"
        return f"The best options are in {self.best}. Train with them: {how}"

    def table(self) -> str:
        """A line for each trial, as plain text."""
        lines = [f"{'trial':>5}  {self.metric:>12}  {'seconds':>7}  settings"]
        for trial in self.trials:
            score = "" if trial.score is None else f"{trial.score:.4f}"
            seconds = "" if trial.seconds is None else f"{trial.seconds:.0f}"
            end = {"done": "", "failed": f" (failed: {trial.reason})"}.get(trial.state, f" ({trial.state})")
            lines.append(f"{trial.number:>5}  {score:>12}  {seconds:>7}  {trial}{end}")
        return "\n".join(lines)

    def doubt(self) -> str | None:
        """A sentence on how far the choice may be chance, where validation rows are few and the score is a share."""
        best = self.trials[0].score
        if self.validation_rows >= _FEW or best is None or not 0 <= best <= 1:
            return None
        error = math.sqrt(max(best * (1 - best), 1 / self.validation_rows) / self.validation_rows)
        near = sum(t.state == "done" and t.score is not None and abs(best - t.score) <= error for t in self.trials) - 1
        return (
            f"Chosen on {self.validation_rows:,} validation rows, where one standard error of the best score is about "
            f"{error:.3f}: {near} other trial{'s are' if near != 1 else ' is'} within it. With more validation rows "
            "the choice is surer."
        )


def require_optuna() -> None:
    """Raise OptionError where Optuna is missing, before anything is read."""
    if importlib.util.find_spec("optuna") is None:
        raise OptionError('tuning needs optuna, not installed here; install with: pip install "nlp-transfer[tune]"')


def rows_to_tune_on(
    task: str,
    data: DataOptions,
    of_texts: SentimentOptions | None = None,
    of_words: NEROptions | None = None,
    seed: int = 0,
    *,
    options: Any = None,
) -> tuple[Splits, TaskHead]:
    """The training and validation rows that the recipe of `task` would have, and its head. A test file is not opened.

    `options` are the `task_options` of the head, in place of `of_texts` and `of_words`. Raises DataError, and
    OptionError where there are no validation rows to choose on.
    """
    if data.validation_split_percentage == 0 and data.train_file and not data.validation_file:
        raise OptionError(
            "tuning chooses on validation rows; give a --validation_file, or a --validation_split_percentage above 0."
        )
    splits, head = read_task(task, replace(data, test_file=None), of_texts, of_words, seed, options=options)
    splits = replace(splits, test=None)  # sample sets and those of the hub come with them
    if splits.validation is None:
        raise OptionError("tuning chooses on validation rows, and this data set has none; hold some out.")
    return splits, head


def tune(
    options: TuningOptions,
    splits: Splits,
    *,
    head: TaskHead,
    model: ModelOptions,
    data: DataOptions,
    of_texts: SentimentOptions | None = None,
    of_words: NEROptions | None = None,
    task_options: Any = None,
    strategy: StrategyOptions,
    training: TrainingOptions,
    cache: CacheOptions,
) -> Tuned:
    """Search with Optuna for the options that score best on validation rows, and write them to `best.yaml`.

    Options that differ from their defaults are not searched. Several processes may work on the folder of the search,
    and a later call resumes it: `Search`. `task_options` are those of the head, in place of `of_texts` and `of_words`;
    they are written to `best.yaml`. Raises OptionError for an impossible strategy or range, or a score that the
    task does not have, and UserError where no trial was completed.
    """
    splits = replace(splits, test=None)  # a search never reads test rows
    assert splits.validation is not None
    _validate_options(strategy, training)
    if training.metric_for_best_model:
        require_score(training.metric_for_best_model, head, splits.validation)
    own = task_options or task_options_from(options.task, *filter(None, (of_texts, of_words)))
    setup = TrialSetup(head, model, training, cache)
    runs = Runs(splits, setup, strategy, others=(data, own))
    loaded = TransferModel.from_options(model, copy.deepcopy(head))
    width, depth = loaded.encoder.width, loaded.encoder.depth
    usual_options = with_defaults(replace(training, num_train_epochs=None), loaded, splits, Full())
    epochs = round(usual_options.num_train_epochs or 1)
    rows = len(splits.train.data)
    space = space_of(options.strategies, options.search, strategy, training, width, depth, epochs, rows)
    search_fingerprint = fingerprint(setup, splits, groups=(own, strategy), metric_option="metric_for_best_model")
    search_fingerprint |= encoder_weights(model.model_name_or_path, model)
    search_fingerprint |= {f"--{name}": getattr(options, name) for name in ("task", "strategies", "search")}
    search_fingerprint |= {"--seed": training.seed, "--model_name_or_path": model.model_name_or_path}

    folder = Path(options.output_dir or "runs/tune")
    search = Search(folder, space, runs, search_fingerprint, patience=max(2, epochs // 3))
    until = math.inf if options.timeout is None else time.time() + 60 * options.timeout
    fine_tuning = max(1, round(training.num_train_epochs or epochs))
    first = usual(space, strategy, usual_options, fine_tuning, rows, width, depth)
    search.run(options.trials, until, first)
    trials = search.tried()
    if not any(trial.state == "done" for trial in trials):
        reasons = {trial.reason for trial in trials if trial.reason} or {"none began before --timeout"}
        raise UserError(f"no trial was completed: {'; '.join(sorted(reasons))}")
    best = folder / BEST
    command = training_command(options.task, ["--config", str(best)])
    return Tuned(trials, setup.metric, len(splits.validation.data), best, command)


def _validate_options(strategy: StrategyOptions, training: TrainingOptions) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or training.processes > 1:
        raise OptionError(
            "a trial runs in one process; start tune as one, and several times for several trials at once."
        )
    if strategy.strategy != StrategyOptions().strategy:
        raise OptionError("--strategy is what tuning searches for; name those to try with --strategies.")
    if training.report_to or training.checkpoint_every:
        name = "report_to" if training.report_to else "checkpoint_every"
        raise OptionError(f"--{name} is for one run; leave it out here, and give it to the run with best.yaml.")
