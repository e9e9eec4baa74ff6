"""What does a trial come to?"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from accelerate.tracking import GeneralTracker

from nlp_transfer.config import CacheOptions, ModelOptions, TrainingOptions
from nlp_transfer.config.parsing import to_yaml
from nlp_transfer.data.splits import Splits
from nlp_transfer.heads import TaskHead
from nlp_transfer.metrics import is_error
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import StrategyOptions, strategy_from
from nlp_transfer.strategies.strategy_registry import options_of
from nlp_transfer.training.loop import fit, make_accelerator, set_seed

if TYPE_CHECKING:
    from optuna.trial import Trial


@dataclass(frozen=True)
class Runs:
    """What the runs of all trials have in common; test rows are not among it.

    `others` are groups of options that say nothing of how a run trains, and stand in its options file all the same.
    """

    splits: Splits
    head: TaskHead
    model: ModelOptions
    strategy: StrategyOptions
    training: TrainingOptions
    cache: CacheOptions
    others: Sequence[Any] = ()

    @property
    def metric(self) -> str:
        """The validation score that is compared."""
        return self.training.metric_for_best_model or self.head.best_metric

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which score is the better one, in Optuna's words."""
        return "minimize" if is_error(self.metric) else "maximize"

    def steps_per_epoch(self, training: TrainingOptions) -> int:
        """How many batches the training rows are."""
        rows = len(self.splits.train.data)
        return math.ceil(rows / (training.per_device_train_batch_size * training.gradient_accumulation_steps))

    def options(self, strategy: str, settings: Mapping[str, Any]) -> tuple[StrategyOptions, TrainingOptions]:
        """The options of a run with a strategy and `settings`, which are options of it or of training."""
        own = options_of(strategy)
        said = {name: value for name, value in vars(self.strategy).items() if name in own}
        said |= {name: value for name, value in settings.items() if name in own}
        trained = {name: value for name, value in settings.items() if name not in own}
        return StrategyOptions(strategy=strategy, **said), replace(self.training, **trained)

    def options_file(self, strategy: str, settings: Mapping[str, Any]) -> str:
        """The same as YAML that the recipe of the task takes."""
        return to_yaml(self.model, *self.others, *self.options(strategy, settings), self.cache)

    def load(self) -> TransferModel:
        """The encoder with a head of its own."""
        return TransferModel.load(
            self.model.model_name_or_path,
            copy.deepcopy(self.head),
            max_length=self.model.max_length,
            revision=self.model.model_revision,
            trust_remote_code=self.model.trust_remote_code,
            keep_head=self.model.keep_head,
        )

    def score(self, trial: Trial, strategy: str, settings: Mapping[str, Any]) -> float:
        """The best validation score of a run, which tells `trial` each score on its way. Raises TrialPruned.

        Only evaluations of the last stage are told: earlier ones train the head alone, or few layers, and would not
        stand beside those of other strategies.
        """
        of_strategy, training = self.options(strategy, settings)
        plan = strategy_from(of_strategy)
        accelerator = make_accelerator(training)
        set_seed(training.seed)
        model = self.load()
        before = sum(stage.epochs for stage in plan.stages(model.encoder, 1.0, 1.0)[:-1])
        told = _Pruning(trial, self.metric, math.ceil(before * self.steps_per_epoch(training)))
        accelerator.log_with = [told]
        run = fit(model, self.splits, training, accelerator, plan, self.cache)
        assert run.best_score is not None, "there are validation rows"
        return run.best_score


class _Pruning(GeneralTracker):
    """Hears of each evaluation from `fit`, as TensorBoard would, and ends the run where Optuna's pruner says so."""

    name = "pruning"
    requires_logging_directory = False

    def __init__(self, trial: Trial, metric: str, after: int) -> None:
        super().__init__()
        self.trial = trial
        self.metric = metric
        self.after = after
        self.heard = 0

    @property
    def tracker(self) -> Trial:
        return self.trial

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        from optuna import TrialPruned  # an optional package

        score = values.get(f"validation_{self.metric}")
        if score is None or (step or 0) <= self.after:
            return
        self.heard += 1
        self.trial.report(score, self.heard)
        if self.trial.should_prune():
            raise TrialPruned
