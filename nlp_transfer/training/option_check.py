"""What the options of a run must fulfil, checked before anything is computed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.rows import Rows
from nlp_transfer.data.splits import Splits
from nlp_transfer.encoders.sklearn_head.sklearn_network import ShallowClassifier
from nlp_transfer.errors import OptionError
from nlp_transfer.heads import TaskHead
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies.strategy import Stage
from nlp_transfer.training import fsdp


def validate_options(options: TrainingOptions, splits: Splits, model: TransferModel) -> None:
    """Raise OptionError for options that would otherwise fail hours later."""
    fsdp.validate_launcher()
    for name in ("early_stopping_patience", "metric_for_best_model", "eval_steps", "restart_on_collapse"):
        if getattr(options, name) and splits.validation is None:
            raise OptionError(f"--{name} needs validation rows; give a --validation_file, or hold some rows out.")
    if options.metric_for_best_model and splits.validation:
        require_score(options.metric_for_best_model, model.head, splits.validation)
    if options.restart_on_collapse and not model.head.can_collapse:
        raise OptionError(
            "--restart_on_collapse looks for one label predicted for every row, which this task does not have; leave "
            "it out."
        )
    if options.sampling == "balanced" and not model.head.can_balance:
        raise OptionError("--sampling balanced draws rows by label, and tags or numbers are not labels; leave it out.")
    if model.adapter:
        raise OptionError("this model has an adapter already; to train it further, save it and load the saved model.")


def require_score(
    metric: str, head: TaskHead, rows: Rows, option: str = "metric_for_best_model", but: Sequence[str] = ()
) -> None:
    """OptionError unless the head scores by `metric`; asked with empty predictions, before hours of training.

    `option` is the one that named it, and `but` are scores that it may not name.
    """
    few = rows.data[:8]
    blank = [np.zeros((len(ids), len(head.labels)), np.float32) for ids in head.targets(head.references(few))]
    scores = head.evaluate(blank, few)
    known = [name for name, value in scores.items() if isinstance(value, float) and name not in but]
    if metric not in known:
        near = difflib.get_close_matches(metric, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}."
        raise OptionError(f"--{option} {metric} is not a score of this task{hint}")


def require_trainable_head(model: TransferModel, stages: Sequence[Stage]) -> None:
    """OptionError for a scikit-learn head in a run that takes gradient steps."""
    if isinstance(model.network, ShallowClassifier) and any(stage.epochs for stage in stages):
        raise OptionError(
            "the head of this model is a scikit-learn classifier, which gradient steps cannot train; load the encoder "
            "with a new head, or use --strategy features."
        )
