"""A trial: a strategy with its options on an encoder, trained on a share of the rows and scored on others."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import broadcast_object_list

from nlp_transfer.config import CacheOptions, ModelOptions, TrainingOptions
from nlp_transfer.data.fractions import nested_share
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.evaluation.evaluate_run import outputs_on
from nlp_transfer.experiments.candidates import Candidate
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.training.accelerator import make_accelerator
from nlp_transfer.training.loop import fit, set_seed
from nlp_transfer.types import RunResult


@dataclass(frozen=True)
class TrialSetup:
    """What several trials have in common: the head, and the options of model, training and cache."""

    head: TaskHead
    model: ModelOptions
    training: TrainingOptions
    cache: CacheOptions | None = None

    @property
    def metric(self) -> str:
        """The validation score that chooses the best weights."""
        return self.training.metric_for_best_model or self.head.best_metric


@dataclass(frozen=True)
class Trial:
    """A candidate, trained on a share of the training rows with a seed; `settings` are training options of its own.

    Two trials of one name and one fingerprint (`trial_fingerprint`) have the same result.
    """

    candidate: Candidate
    fraction: float = 1.0
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The name of its folder: another candidate, share, seed or setting gives another one."""
        name = f"{self.candidate.key}-{self.fraction:g}-seed{self.seed}"
        if self.settings:
            digest = hashlib.blake2b(json.dumps(sorted(self.settings)).encode(), digest_size=4).hexdigest()
            name += f"-{digest}"
        return name

    def share_of(self, splits: Splits) -> Splits:
        """The splits with the training rows that it learns from."""
        return replace(splits, train=nested_share(splits.train, self.fraction, self.seed))

    def train(
        self,
        splits: Splits,
        setup: TrialSetup,
        *,
        model: TransferModel | None = None,
        tracker: Callable[[TransferModel], GeneralTracker] | None = None,
    ) -> TrainedTrial:
        """Train the candidate's encoder, or a copy of `model`, with its strategy on its share of `splits`.

        `tracker` makes of the loaded model what Accelerate is to report each evaluation to. The head knows of the rows
        no more than its share of them shows. Raises what `TransferModel.load` and `fit` raise.
        """
        strategy, share = self.candidate.make(), self.share_of(splits)
        training = replace(setup.training, seed=self.seed, **dict(self.settings))
        accelerator = make_accelerator(training)
        if model is None:
            set_seed(self.seed)  # of the new weights of the head
            options = replace(setup.model, model_name_or_path=self.candidate.encoder)
            head = setup.head.on_share(splits.train, share.train) if self.fraction < 1 else copy.deepcopy(setup.head)
            model = TransferModel.from_options(options, head)
        else:
            model = _copy_of(model)
        if tracker:
            accelerator.log_with = [tracker(model)]
        result = fit(model, share, training, accelerator, strategy, setup.cache)
        return TrainedTrial(model, share, result, accelerator, training.per_device_eval_batch_size, setup.cache)


@dataclass(frozen=True)
class TrainedTrial:
    """The trained model of a trial, with the rows that it had and the result of its training."""

    model: TransferModel
    splits: Splits
    result: RunResult
    accelerator: Accelerator
    batch_size: int
    cache: CacheOptions | None

    def predictions(self) -> dict[str, list[Any]]:
        """Predictions of the validation and of the test rows, as far as there are any, by the name of the split."""
        head, splits = self.model.head, (("validation", self.splits.validation), ("test", self.splits.test))
        return {
            name: head.decode(
                outputs_on(rows, self.model, self.accelerator, self.batch_size, self.cache, name), rows.data[:]
            )
            for name, rows in splits
            if rows is not None
        }

    def score(self, rows: Rows, metric: str, name: str) -> float:
        """A score on rows that are none of its splits, the same on every process; `name` is that of the bar."""
        outputs = outputs_on(rows, self.model, self.accelerator, self.batch_size, self.cache, name)
        score = [float(self.model.head.evaluate(outputs, rows.data[:])[metric])]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(score)
        return score[0]


def _copy_of(model: TransferModel) -> TransferModel:
    """A model whose training leaves the other one as it is."""
    return TransferModel(
        copy.deepcopy(model.network), copy.copy(model.head), model.tokenizer, model.max_length, model.new_parameters,
        model.checkpoint,
    )  # fmt: skip
