"""Options of training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import PRECISIONS, check_values, option, processes_option
from nlp_transfer.errors import OptionError

# Those of transformers that need nothing but the number of steps.
_SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "constant", "constant_with_warmup",
)  # fmt: skip

_EARLIER = {"defaults": "fixed"}  # a file with null here and no `defaults` was written before there was the rule

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
"""Where a run can log its scores."""


@dataclass
class TrainingOptions:
    """How the weights are trained."""

    _argument_group_name: ClassVar[str] = "training"

    defaults: str = option(
        "rule",
        choices=("rule", "fixed"),
        help="What rate, epochs, warm-up, batch and patience are where they are not given: by the rule, from rows and "
        "encoder; or fixed (5e-5, 3 epochs or 300 steps, 0.06, 16 and none).",
    )
    num_train_epochs: float | None = option(
        None,
        help="Times every row is seen.",
        above=0,
        default_text="2, and up to 16 where rows are few; for tags 3, and up to 20",
        null_implies=_EARLIER,
    )
    max_train_steps: int | None = option(None, help="Stop after so many steps, whatever the epochs.", above=0)
    per_device_train_batch_size: int | None = option(
        None,
        help="Rows of one process in one forward pass.",
        above=0,
        default_text="32 rows a step, 16 where rows are few, shared by all processes",
    )
    per_device_eval_batch_size: int = option(64, help="The same where nothing is learned.", above=0)
    gradient_accumulation_steps: int = option(1, help="Forward passes that share one step.", above=0)
    sampling: str = option(
        "natural",
        choices=("natural", "balanced"),
        help="natural: every row once an epoch; balanced: as many rows, drawn by label.",
    )
    learning_rate: float | None = option(
        None,
        help="Peak learning rate of AdamW.",
        above=0,
        default_text="what suits the strategy and the encoder's size",
        null_implies=_EARLIER,
    )
    weight_decay: float = option(0.01, help="Decay of weights; biases and norms have none.", at_least=0)
    lr_scheduler_type: str = option("linear", choices=_SCHEDULES, help="Schedule of the learning rate.")
    warmup_ratio: float | None = option(
        None, help="Share of the steps over which the learning rate rises.", at_least=0, below=1, default_text="0.1"
    )
    max_grad_norm: float = option(1.0, help="Gradients longer than this are clipped; 0 for never.", at_least=0)
    eval_steps: int | None = option(None, help="Evaluate every so many steps instead of every epoch.", above=0)
    early_stopping_patience: int | None = option(
        None,
        help="Stop a stage after so many evaluations in a row whose score and loss were no better; 0: never.",
        at_least=0,
        default_text="2 with 100 validation rows or more",
        null_implies=_EARLIER,
    )
    metric_for_best_model: str | None = option(
        None, help="Validation score that chooses the best weights.", default_text="the task's own"
    )
    seed: int = option(0, help="Seed of everything random.", at_least=0, at_most=2**31 - 1)
    restart_on_collapse: int = option(
        0,
        help="Where the network gives all rows one label for an epoch: restart from the pretrained weights with "
        "the next seed, so many times at most.",
        at_least=0,
    )
    mixed_precision: str = option(
        "auto",
        choices=PRECISIONS,
        help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it.",
    )
    processes: int = processes_option()
    torch_compile: bool = option(
        False, help="Compile the network (TorchInductor): slow to start; pays on a GPU, and long runs."
    )
    verify: bool = option(True, help="Open the saved model in a fresh process, and compare it with the trained one.")
    report_to: list[str] = option(
        default_factory=list, choices=TRACKERS, help="tensorboard, wandb, mlflow, trackio: where to log."
    )
    logging_steps: int = option(10, help="Steps between two logged losses.", above=0)
    checkpoint_every: list[str] = option(
        default_factory=list, help="N steps, N epoch or N minutes: how often a checkpoint is written, for --resume."
    )
    keep_checkpoints: int = option(
        2, help="How many checkpoints stay; each holds the best weights so far too.", above=0
    )

    def __post_init__(self) -> None:
        check_values(self)
        _ = self.checkpoint_interval

    @property
    def checkpoint_interval(self) -> tuple[float, str] | None:
        """`checkpoint_every` as a number and `steps`, `epochs` or `minutes`."""
        if not self.checkpoint_every:
            return None
        text = " ".join(self.checkpoint_every)
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *(step|epoch|minute)s?", text)
        if not match or not float(match[1]) > 0:
            raise OptionError(
                f"--checkpoint_every must be a number and steps, epochs or minutes, as in 500 steps; got {text}."
            )
        return float(match[1]), f"{match[2]}s"
