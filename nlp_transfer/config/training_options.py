"""How do weights train, and how does knowledge move to the task?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from nlp_transfer.config.option_values import PRECISIONS, require
from nlp_transfer.errors import OptionError

# Those of transformers that need nothing but the number of steps.
_SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "constant", "constant_with_warmup",
)  # fmt: skip


@dataclass
class TrainingOptions:
    """How the weights are trained."""

    num_train_epochs: float | None = HfArg(
        default=None, help="Times every row is seen. Unless given: 3, and up to 30 where rows are few."
    )
    max_train_steps: int | None = HfArg(default=None, help="Stop after so many steps, whatever the epochs.")
    per_device_train_batch_size: int = HfArg(default=16, help="Rows of one process in one forward pass.")
    per_device_eval_batch_size: int = HfArg(default=64, help="The same where nothing is learned.")
    gradient_accumulation_steps: int = HfArg(default=1, help="Forward passes that share one step.")
    sampling: str = HfArg(
        default="natural", help="natural: every row once an epoch; balanced: as many rows, drawn by label."
    )
    learning_rate: float | None = HfArg(
        default=None, help="The highest rate of AdamW. Unless given: 5e-5, or what suits the --strategy."
    )
    weight_decay: float = HfArg(default=0.01, help="Decay of weights; biases and norms have none.")
    lr_scheduler_type: str = HfArg(default="linear", help=f"How the rate goes on: {', '.join(_SCHEDULES)}.")
    warmup_ratio: float = HfArg(default=0.06, help="Share of the steps over which the rate rises.")
    max_grad_norm: float = HfArg(default=1.0, help="Gradients longer than this are shortened; 0 for never.")
    eval_steps: int | None = HfArg(default=None, help="Evaluate every so many steps instead of every epoch.")
    early_stopping_patience: int | None = HfArg(
        default=None, help="Stop after so many evaluations in a row that were no better than the best."
    )
    metric_for_best_model: str | None = HfArg(
        default=None, help="Validation score that chooses the best weights. Unless given: the task's own."
    )
    seed: int = HfArg(default=0, help="Seed of everything random.")
    restart_on_collapse: int = HfArg(
        default=0,
        help="Where the network gives all rows one label for an epoch: begin again from the pretrained weights with "
        "the next seed, so many times at most.",
    )
    mixed_precision: str = HfArg(
        default="auto", help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it."
    )
    torch_compile: bool = HfArg(
        default=False, help="Compile the network (TorchInductor): slow to start; pays on a GPU, and long runs."
    )
    verify: bool = HfArg(
        default=True, help="Open the saved model in a fresh process, and compare it with the trained one."
    )
    report_to: list[str] = HfArg(default_factory=list, help="tensorboard, wandb, mlflow, trackio: where to log.")
    logging_steps: int = HfArg(default=10, help="Steps between two logged losses.")
    checkpoint_every: list[str] = HfArg(
        default_factory=list, help="N steps, N epoch or N minutes: how often the run's state is kept, for --resume."
    )
    keep_checkpoints: int = HfArg(default=2, help="How many of them stay; each holds the best weights so far too.")

    def __post_init__(self) -> None:
        for name in ("num_train_epochs", "per_device_train_batch_size", "per_device_eval_batch_size", "learning_rate",
                     "gradient_accumulation_steps", "max_train_steps", "eval_steps", "early_stopping_patience",
                     "logging_steps", "keep_checkpoints"):  # fmt: skip
            require(self, name, lambda value: value > 0, "more than 0")
        _ = self.checkpoint_interval
        for name in ("weight_decay", "max_grad_norm", "restart_on_collapse"):
            require(self, name, lambda value: value >= 0, "0 or more")
        require(self, "seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")
        require(self, "warmup_ratio", lambda value: 0 <= value < 1, "in [0, 1)")
        if self.lr_scheduler_type not in _SCHEDULES:
            raise OptionError(f"--lr_scheduler_type {self.lr_scheduler_type}: known are {', '.join(_SCHEDULES)}.")
        require(self, "mixed_precision", lambda value: value in PRECISIONS, "auto, no, bf16 or fp16")
        require(self, "sampling", lambda value: value in ("natural", "balanced"), "natural or balanced")

    @property
    def checkpoint_interval(self) -> tuple[float, str] | None:
        """`checkpoint_every` as a number and `steps`, `epochs` or `minutes`."""
        if not self.checkpoint_every:
            return None
        said = " ".join(self.checkpoint_every)
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *(step|epoch|minute)s?", said)
        if not match or not float(match[1]) > 0:
            raise OptionError(f"--checkpoint_every {said}: say a number and steps, epochs or minutes, as in 500 steps.")
        return float(match[1]), f"{match[2]}s"


@dataclass
class StrategyOptions:
    """How knowledge moves from the encoder to the task. Each option belongs to the strategies that it names."""

    strategy: str = HfArg(
        default="full",
        help="full, freeze, features, gradual, head_then_full, lora, l2sp, replay, scratch: what trains, in which "
        "order, towards what; auto: chosen by the rows, and by trials.",
    )
    trainable_layers: int | None = HfArg(
        default=None, help="freeze: layers that train with the head, from the top. Unless given: 0, a linear probe."
    )
    classifier: str | None = HfArg(
        default=None, help="features: logistic, linear_svm, svm, random_forest, knn. Unless given: logistic."
    )
    layer_lr_decay: float | None = HfArg(
        default=None, help="full, gradual: factor on the rate for each layer down. Unless given: 1, gradual 0.9."
    )
    trainable_embeddings: bool | None = HfArg(default=None, help="full: false keeps the word embeddings still.")
    unfreeze_epochs: int | None = HfArg(
        default=None, help="gradual: epochs before everything trains, beside those of the run. Unless given: 3."
    )
    head_epochs: int | None = HfArg(
        default=None, help="head_then_full: epochs of the head alone. Unless given: as many as after it, 10 at most."
    )
    head_learning_rate: float | None = HfArg(
        default=None, help="head_then_full, gradual: rate of the head alone. Unless given: 5e-3."
    )
    l2sp_alpha: float | None = HfArg(
        default=None, help="l2sp: pull towards the pretrained weights. Unless given: 0.03."
    )
    l2sp_beta: float | None = HfArg(default=None, help="l2sp: pull of new weights towards zero. Unless given: 0.01.")
    source_file: str | None = HfArg(
        default=None, help="replay: rows with labels of their own, in any form; or raw text, one a line, as .txt."
    )
    source_weight: float | None = HfArg(default=None, help="replay: factor on the source's loss. Unless given: 1.")
    source_text_column_name: str | None = HfArg(default=None, help="replay: column of the source with the text.")
    source_label_column_name: str | None = HfArg(default=None, help="replay: column of the source with the label.")
    lora_r: int | None = HfArg(default=None, help="lora: rank of the adapters. Unless given: 8.")
    lora_alpha: float | None = HfArg(
        default=None, help="lora: what adapters add is multiplied by alpha / r. Unless given: 16."
    )
    lora_dropout: float | None = HfArg(default=None, help="lora: dropout of what adapters are given. Unless given: 0.")
    lora_top_layers: int | None = HfArg(
        default=None, help="lora: layers with adapters, from the top; those below run once. Unless given: all."
    )
    lora_targets: list[str] | None = HfArg(
        default=None, help="lora: modules with adapters, by name or its end. Unless given: the encoder's linear ones."
    )
    use_dora: bool | None = HfArg(default=None, help="lora: true learns size and direction of weights apart (DoRA).")
    use_rslora: bool | None = HfArg(default=None, help="lora: true multiplies by alpha / sqrt(r) (rsLoRA).")
    init_lora_weights: str | None = HfArg(
        default=None, help="lora: true, false, gaussian, orthogonal, olora, pissa, pissa_niter_N. Unless given: true."
    )
    peft_config: str | None = HfArg(
        default=None, help="lora: any other PEFT config (IA3, OFT, prefix tuning): JSON, YAML, or an adapter's folder."
    )
    merge_adapter: bool | None = HfArg(
        default=None, help="lora: true writes an ordinary model, with the adapter merged, and the adapter beside it."
    )
