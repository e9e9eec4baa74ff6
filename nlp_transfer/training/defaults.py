"""The rule for options of training that nobody has set: learning rate, epochs, warm-up, batch and patience."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nlp_transfer.config import TrainingOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.splits import Splits
from nlp_transfer.models.transfer_model import TransferModel
from nlp_transfer.strategies import Strategy

log = logging.getLogger(__name__)

_FIXED = {
    "per_device_train_batch_size": 16, "warmup_ratio": 0.06, "early_stopping_patience": 0,
}  # fmt: skip
"""What `--defaults fixed` takes, beside the rate of the strategy and 3 epochs, or as many as make 300 steps."""

_EPOCHS = ((200, 8), (500, 5), (1_500, 3), (math.inf, 2))
"""Up to so many training rows, and the epochs that they are seen for."""

_FEW_EACH = 30
"""Rows a label: with fewer of them, rows are seen twice as often."""

_EPOCHS_OF_TAGS = ((300, 20), (1_000, 10), (2_000, 6), (5_000, 4), (math.inf, 3))
"""The same where words have labels: most are no entity, and what is one takes more steps to learn."""

_BATCH = ((500, 16), (100_000, 32), (math.inf, 64))
"""Up to so many training rows, and the rows of a step, of all processes together."""

_MOST_TOKENS = 8_192
"""Tokens of a step of long rows: the batch is smaller where it would have more."""

_SAMPLE = 200  # rows whose tokens are counted
_WARMUP = 0.1
_PATIENCE, _LEAST_TO_STOP_BY = 2, 100  # evaluations, and validation rows: fewer than these are too noisy to stop by
_BASE_WIDTH, _BASE_DEPTH = 768, 12  # of the encoders that strategies' rates are for
_LARGEST_FACTOR = 8.0


@dataclass(frozen=True)
class Facts:
    """What the rule looks at: rows to train on and to validate with, their labels and lengths, and the encoder.

    `labels` is how many there are, 1 for a number; of words, most of which are no entity, the number does not count.
    `tokens` are those of a long row, longer than 19 in 20.
    """

    rows: int
    validation_rows: int
    width: int
    depth: int
    labels: int = 2
    tokens: int = 32
    labels_words: bool = False


def usual_values(facts: Facts, strategy: Strategy) -> dict[str, Any]:
    """The values that the rule gives to options of training; the batch is that of all processes together.

    Small encoders learn at higher rates: that of a strategy is for 12 layers of 768, and grows as width shrinks to the
    power 1.5 and depth to the power 0.5, so 5e-5 becomes 2e-4 for MiniLM-L6 (384) and 2.3e-5 for 24 layers of 1,024.
    Few rows, and few rows a label, are seen more often: it is steps that make fine-tuning on them stable (Mosbach et
    al. 2021, "On the stability of fine-tuning BERT"). The manual says on what recipes/benchmarks/defaults.py found it.

    >>> usual_values(Facts(rows=3_000, validation_rows=300, width=384, depth=6), strategy_named("full"))
    {'learning_rate': 0.0002, 'num_train_epochs': 2, ...}
    """
    epochs = _up_to(_EPOCHS_OF_TAGS if facts.labels_words else _EPOCHS, facts.rows)
    is_few_each = not facts.labels_words and facts.rows < _FEW_EACH * facts.labels
    batch = min(_up_to(_BATCH, facts.rows), max(8, _MOST_TOKENS // facts.tokens))
    return {
        "learning_rate": usual_rate(strategy, facts.width, facts.depth),
        "num_train_epochs": strategy.usual_epochs(2 * epochs if is_few_each else epochs, facts.rows),
        "per_device_train_batch_size": batch,
        "warmup_ratio": _WARMUP,
        "early_stopping_patience": _PATIENCE if facts.validation_rows >= _LEAST_TO_STOP_BY else 0,
    }


def usual_rate(strategy: Strategy, width: int, depth: int, defaults: str = "rule") -> float:
    """The learning rate of a strategy on an encoder of `depth` layers of `width`, to two digits."""
    if not strategy.rate_follows_encoder or defaults == "fixed":
        return strategy.default_learning_rate
    factor = (_BASE_WIDTH / width) ** 1.5 * (_BASE_DEPTH / depth) ** 0.5
    return float(f"{strategy.default_learning_rate * min(factor, _LARGEST_FACTOR):.2g}")


def with_defaults(
    options: TrainingOptions, model: TransferModel, splits: Splits, strategy: Strategy, processes: int = 1
) -> TrainingOptions:
    """`options` with a value for each that is not set: that of the rule, or with `--defaults fixed` always the same.

    What is set stays as it is; the same rows, encoder and strategy give the same values.

    >>> with_defaults(TrainingOptions(), model, splits, strategy_named("full")).learning_rate
    0.0002
    """
    validation = len(splits.validation.data) if splits.validation else 0
    encoder, head = model.encoder, model.head
    tokens = _tokens_of_long(model, splits)
    facts = Facts(
        len(splits.train.data), validation, encoder.width, encoder.depth, len(head.labels), tokens, head.labels_words
    )  # fmt: skip
    values = usual_values(facts, strategy)
    shared = processes * options.gradient_accumulation_steps
    values["per_device_train_batch_size"] = math.ceil(values["per_device_train_batch_size"] / shared)
    if options.defaults == "fixed":
        values |= _FIXED | {"learning_rate": usual_rate(strategy, facts.width, facts.depth, "fixed")}
        batch = (options.per_device_train_batch_size or _FIXED["per_device_train_batch_size"]) * shared
        values["num_train_epochs"] = min(30, max(3, math.ceil(300 / math.ceil(facts.rows / batch))))
    if not validation or options.max_train_steps:
        values["early_stopping_patience"] = 0
    return replace(options, **{name: value for name, value in values.items() if getattr(options, name) is None})


def log_defaults(given: TrainingOptions, taken: TrainingOptions) -> None:
    """Log the values that were taken for options that were not given, as flags."""
    names = [name for name in vars(given) if getattr(given, name) is None and getattr(taken, name)]
    if given.max_train_steps and "num_train_epochs" in names:
        names.remove("num_train_epochs")  # which does not count then
    if names:
        values = ", ".join(f"--{name} {getattr(taken, name):g}" for name in names)
        log.info("Not given, and taken for these rows and this encoder: %s.", values)


def _tokens_of_long(model: TransferModel, splits: Splits) -> int:
    """The tokens of a row that is longer than 19 in 20, of some rows spread over all."""
    rows = splits.train.data
    some = rows.select(range(0, len(rows), max(1, len(rows) // _SAMPLE)))
    return max(1, int(np.quantile(TokenInputs(model.encode(some), model.pad_id).lengths, 0.95)))


def _up_to(table: tuple[tuple[float, int], ...], rows: int) -> int:
    return next(value for most, value in table if rows <= most)
