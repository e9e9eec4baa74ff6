"""The trials of a search: their options, and the pruning of runs that lag behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from accelerate.tracking import GeneralTracker

from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.data.splits import Splits
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.experiments.trial import Trial, TrialSetup
from nlp_transfer.metrics import is_error
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import StrategyOptions
from nlp_transfer.strategies.strategy_registry import options_of
from nlp_transfer.training.defaults import with_defaults
from nlp_transfer.training.plan import global_batch

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Runs:
    """What the runs of all trials have in common; their splits have no test rows.

    `others` are groups of options that do not change how a run trains, and are written to its options file.
    """

    splits: Splits
    setup: TrialSetup
    strategy: StrategyOptions
    others: Sequence[Any] = ()

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which score is the better one, in Optuna's words."""
        return "minimize" if is_error(self.setup.metric) else "maximize"

    def trial(self, strategy: str, settings: Mapping[str, Any]) -> Trial:
        """The trial of a strategy with `settings`, which are options of it or of training."""
        own = options_of(strategy)
        options = {name: value for name, value in self.strategy.given().items() if name in own}
        options |= {name: value for name, value in settings.items() if name in own}
        candidate = Candidate(strategy, self.setup.model.model_name_or_path, strategy, tuple(options.items()))
        training = tuple((name, value) for name, value in settings.items() if name not in own)
        return Trial(candidate, seed=self.setup.training.seed, settings=training)

    def options_file(self, strategy: str, settings: Mapping[str, Any]) -> str:
        """The options of that trial as YAML that the recipe of the task takes."""
        trial = self.trial(strategy, settings)
        of_strategy = StrategyOptions(strategy=strategy, **dict(trial.candidate.options))
        training = replace(self.setup.training, **dict(trial.settings))
        return to_yaml(self.setup.model, *self.others, of_strategy, training, self.setup.cache)

    def score(self, trial: optuna.trial.Trial, strategy: str, settings: Mapping[str, Any]) -> float:
        """The best validation score of a run, which reports each score to Optuna's `trial`. Raises TrialPruned.

        Only evaluations of the last stage are reported: earlier ones train the head alone, or few layers, and cannot
        be compared with those of other strategies.
        """
        run = self.trial(strategy, settings)

        def pruning(model: TransferModel) -> Pruning:
            of_trial = replace(self.setup.training, **dict(run.settings))
            training = with_defaults(of_trial, model, self.splits, run.candidate.make())
            steps_per_epoch = math.ceil(len(self.splits.train.data) / global_batch(training))
            earlier_stages = run.candidate.make().stages(model.encoder, 1.0, 1.0)[:-1]
            earlier_epochs = sum(stage.epochs for stage in earlier_stages)
            return Pruning(trial, self.setup.metric, math.ceil(earlier_epochs * steps_per_epoch))

        score = run.train(self.splits, self.setup, tracker=pruning).result.best_score
        assert score is not None, "there are validation rows"
        return score


class Pruning(GeneralTracker):
    """A tracker of Accelerate that ends a run where Optuna's pruner asks for it; steps up to `after` do not count."""

    name = "pruning"
    requires_logging_directory = False

    def __init__(self, trial: optuna.trial.Trial, metric: str, after: int) -> None:
        super().__init__()
        self.trial = trial
        self.metric = metric
        self.after = after
        self.evaluations = 0

    @property
    def tracker(self) -> optuna.trial.Trial:
        """What the scores are reported to."""
        return self.trial

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Report the validation score. Raises TrialPruned."""
        from optuna import TrialPruned  # an optional package

        score = values.get(f"validation_{self.metric}")
        if score is None or (step or 0) <= self.after:
            return
        self.evaluations += 1
        self.trial.report(score, self.evaluations)
        if self.trial.should_prune():
            raise TrialPruned
