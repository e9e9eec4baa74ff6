"""Which options does a run have? Dataclasses, named as the transformers examples name them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.hf_argparser import HfArg

from nlp_transfer.errors import OptionError

# Those of transformers that need nothing but the number of steps.
_SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "constant", "constant_with_warmup",
)  # fmt: skip


CHECKPOINTS = "checkpoints"
"""The folder in that of a run that holds its state until it ends."""

PROBLEMS = ("single_label", "multi_label", "regression")
"""One label for a text, any number of labels for a text, a number for a text."""

PRECISIONS = ("auto", "no", "bf16", "fp16")
"""What a network can be told to compute in; `no` is what its weights are, fp32."""


@dataclass
class ModelOptions:
    """Which encoder."""

    model_name_or_path: str = HfArg(
        default="all-MiniLM-L6-v2", help="Encoder: a folder, a hub id, or all-MiniLM-L6-v2."
    )
    model_revision: str | None = HfArg(default=None, help="Branch, tag or commit of a hub id.")
    trust_remote_code: bool = HfArg(default=False, help="Run code that comes with the checkpoint.")
    keep_head: bool = HfArg(
        default=False, help="Keep of the head of an earlier task what fits: dense layers, and labels of the same name."
    )
    max_length: int | None = HfArg(
        default=None,
        help="Tokens read of a text. Unless given: 256, or fewer where the encoder has fewer positions.",
    )

    def __post_init__(self) -> None:
        _require(self, "max_length", lambda value: value > 0, "more than 0")


@dataclass
class DataOptions:
    """Which rows. Without any file or data set, a small sample set that comes with the package."""

    train_file: str | None = HfArg(
        default=None,
        help="CSV, TSV, JSONL, JSON, Parquet, Arrow, a folder of a folder per label; NER: CoNLL, JSONL of texts with "
        "spans, .spacy, a folder of brat.",
    )
    validation_file: str | None = HfArg(default=None, help="Rows that choose the best epoch.")
    test_file: str | None = HfArg(default=None, help="Rows that are scored once, at the end.")
    dataset_name: str | None = HfArg(default=None, help="A data set of the hub, in place of files.")
    dataset_config_name: str | None = HfArg(default=None, help="Which configuration of that data set.")
    text_column_name: str | None = HfArg(default=None, help="Column with the text (NER: the words).")
    label_column_name: str | None = HfArg(default=None, help="Column with the label (NER: the tags).")
    text_pair_column_name: str | None = HfArg(default=None, help="Column with a second text, for pairs of texts.")
    problem: str | None = HfArg(
        default=None,
        help="single_label, multi_label (several labels a text, or none), regression (a number). Unless given: what "
        "the labels look like.",
    )
    label_columns: list[str] = HfArg(
        default_factory=list, help="Columns of 0 and 1, each a label, in place of one column with labels."
    )
    label_delimiter: str | None = HfArg(default=None, help="What parts the labels of a text in the label column.")
    validation_split_percentage: float = HfArg(
        default=10.0,
        help="Share of train held out where there is no validation file. 0: train on all, keep the last weights.",
    )
    skip_bad_rows: bool = HfArg(default=False, help="Leave out rows that cannot be used instead of stopping.")
    strict_data: bool = HfArg(default=False, help="Stop where a row of validation or test stands in train.")
    delimiter: str | None = HfArg(
        default=None, help="What stands between columns: a character, or tab, comma, ... Unless given: told from rows."
    )
    conll_columns: str | None = HfArg(
        default=None,
        help="NER: columns of word and tag, such as 0,3 or FORM,NER. Unless given: first and last.",
    )
    misaligned: str = HfArg(
        default="strict",
        help="NER: spans that do not fall on words stop the run (strict), are widened (snap) or left out (drop).",
    )

    def __post_init__(self) -> None:
        _require(self, "misaligned", lambda value: value in ("strict", "snap", "drop"), "strict, snap or drop")
        _require(self, "problem", lambda value: value in PROBLEMS, f"one of {', '.join(PROBLEMS)}")
        # --label_columns a,b,c and --label_columns a b c are the same
        self.label_columns = [name for part in self.label_columns for name in part.split(",") if name]
        told = "label_columns" if self.label_columns else "label_delimiter"
        if getattr(self, told):
            if self.problem not in (None, "multi_label"):
                raise OptionError(f"--{told} says that a text has several labels, --problem {self.problem} that not.")
            if self.label_columns and (self.label_column_name or self.label_delimiter):
                other = "label_column_name" if self.label_column_name else "label_delimiter"
                raise OptionError(f"--label_columns and --{other} both say where the labels are; give one of them.")


@dataclass
class CheckOptions:
    """What is looked for in a data set, beside what is always looked for."""

    task: str | None = HfArg(
        default=None, help="classification, sentiment or ner. Unless given: told from the columns of --train_file."
    )
    label_errors: bool = HfArg(
        default=False, help="Rank the rows, or the words, whose labels an encoder and a classifier on it doubt most."
    )
    near_duplicates: float = HfArg(
        default=0.7, help="Share of words and word pairs that two texts have in common to be nearly the same; 0: skip."
    )
    seed: int = HfArg(default=0, help="Seed of everything random.")

    def __post_init__(self) -> None:
        tasks = ("classification", "sentiment", "ner")
        _require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        _require(self, "near_duplicates", lambda value: value == 0 or 0.5 <= value <= 1, "0, or from 0.5 to 1")
        _require(self, "seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")


@dataclass
class SelectionOptions:
    """Which encoders are compared before anything is trained, and on how many rows."""

    encoders: list[str] = HfArg(
        default_factory=list, help="Folders, hub ids, or all-MiniLM-L6-v2, apart by commas or blanks."
    )
    task: str | None = HfArg(
        default=None, help="classification, sentiment or ner. Unless given: told from the columns of --train_file."
    )
    sample: int = HfArg(default=5000, help="Rows of train that are looked at, at most; each label has its share.")
    max_length: int | None = HfArg(default=None, help="Tokens read of a text. Unless given: as in training, 256.")
    trust_remote_code: bool = HfArg(default=False, help="Run code that comes with a checkpoint.")
    seed: int = HfArg(default=0, help="Seed of everything random.")

    def __post_init__(self) -> None:
        self.encoders = [name for part in self.encoders for name in part.split(",") if name]
        _require_given(self, "encoders")
        tasks = ("classification", "sentiment", "ner")
        _require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        _require(self, "sample", lambda value: value >= 20, "20 or more")
        _require(self, "max_length", lambda value: value > 0, "more than 0")
        _require(self, "seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")


@dataclass
class TuningOptions:
    """What is searched for the best options, and how long. Options that are given otherwise stay as they are."""

    task: str = HfArg(default="classification", help="classification, sentiment or ner.")
    strategies: list[str] = HfArg(
        default_factory=lambda: ["full", "lora"], help="Strategies to try, with commas or blanks between them."
    )
    trials: int = HfArg(default=20, help="Runs to try, those of an earlier start in the same --output_dir included.")
    timeout: float | None = HfArg(default=None, help="Minutes after which no further trial begins.")
    search: list[str] = HfArg(
        default_factory=list,
        help="NAME=LOW..HIGH or NAME=A,B,C: what an option of training or of a strategy may be, such as "
        "learning_rate=1e-5..5e-4. Unless given: rate, epochs and what matters most of each strategy.",
    )
    output_dir: str | None = HfArg(
        default=None, help="Folder of the search, which goes on with what is there. Unless given: runs/tune."
    )

    def __post_init__(self) -> None:
        tasks = ("classification", "sentiment", "ner")
        _require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        for name in ("trials", "timeout"):
            _require(self, name, lambda value: value > 0, "more than 0")
        parts = [part.strip() for given in self.strategies for part in given.split(",") if part.strip()]
        self.strategies = list(dict.fromkeys(parts))
        if not self.strategies:
            raise OptionError("--strategies names none; see --help for all options.")


@dataclass
class CompareOptions:
    """What is set side by side, on how many rows and how often."""

    task: str = HfArg(default="classification", help="classification, sentiment or ner.")
    strategies: list[str] = HfArg(
        default_factory=lambda: ["freeze", "features", "lora", "head_then_full", "full"],
        help="Those to compare, with commas or blanks between them; freeze:2, features:svm and lora:16 say how many "
        "layers train, which classifier, and which rank. scratch is always beside them.",
    )
    encoders: list[str] = HfArg(
        default_factory=list, help="Encoders, each with each strategy. Unless given: --model_name_or_path."
    )
    fractions: list[str] = HfArg(
        default_factory=lambda: ["1.0"], help="Shares of the training rows to learn from, each above 0 and at most 1."
    )
    seeds: int = HfArg(default=3, help="How often each is trained: with --seed, the next number, and so on.")
    metric: str | None = HfArg(
        default=None, help="The score that chooses and is compared. Unless given: the task's own."
    )
    workers: int | None = HfArg(
        default=None, help="Trainings at once, the cores shared out. Unless given: as many as cores and memory allow."
    )

    def __post_init__(self) -> None:
        tasks = ("classification", "sentiment", "ner")
        _require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        for name in ("seeds", "workers"):
            _require(self, name, lambda value: value > 0, "more than 0")
        for name in ("strategies", "encoders", "fractions"):  # a,b and a b are the same
            parts = [part.strip() for given in getattr(self, name) for part in given.split(",") if part.strip()]
            setattr(self, name, list(dict.fromkeys(parts)))
        if not self.strategies:
            raise OptionError("--strategies names none; see --help for all options.")
        _ = self.shares

    @property
    def shares(self) -> list[float]:
        """`fractions` as numbers, the largest last. OptionError for one outside (0, 1]."""
        found = set()
        for text in self.fractions:
            try:
                share = float(text)
            except ValueError:
                share = 0.0
            if not 0 < share <= 1:
                raise OptionError(f"--fractions must lie in (0, 1], as in 0.05,0.2,1.0; given was {text}.")
            found.add(share)
        return sorted(found)


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
            _require(self, name, lambda value: value > 0, "more than 0")
        _ = self.checkpoint_interval
        for name in ("weight_decay", "max_grad_norm", "restart_on_collapse"):
            _require(self, name, lambda value: value >= 0, "0 or more")
        _require(self, "seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")
        _require(self, "warmup_ratio", lambda value: 0 <= value < 1, "in [0, 1)")
        if self.lr_scheduler_type not in _SCHEDULES:
            raise OptionError(f"--lr_scheduler_type {self.lr_scheduler_type}: known are {', '.join(_SCHEDULES)}.")
        _require(self, "mixed_precision", lambda value: value in PRECISIONS, "auto, no, bf16 or fp16")
        _require(self, "sampling", lambda value: value in ("natural", "balanced"), "natural or balanced")

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
    head_epochs: int | None = HfArg(default=None, help="head_then_full: epochs of the head alone. Unless given: 10.")
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


@dataclass
class CacheOptions:
    """Where the outputs of frozen layers are kept, so that these layers run once."""

    cache_dir: str | None = HfArg(
        default=None, help="Folder of the cache. Unless given: $NLP_TRANSFER_CACHE, or one in the user's cache folder."
    )
    cache_dtype: str = HfArg(default="auto", help="fp32, bf16, fp16; auto is that of --mixed_precision.")
    cache_gb: float | None = HfArg(
        default=None, help="Room for it on disk; 0 for none. Unless given: a tenth of what is free."
    )

    def __post_init__(self) -> None:
        dtypes = ("auto", "fp32", "bf16", "fp16")
        _require(self, "cache_dtype", lambda value: value in dtypes, "auto, fp32, bf16 or fp16")
        _require(self, "cache_gb", lambda value: value >= 0, "0 or more")


@dataclass
class OutputOptions:
    """Where the run goes."""

    output_dir: str | None = HfArg(default=None, help="Folder of the run. Unless given: runs/ and the recipe's name.")
    overwrite_output_dir: bool = HfArg(default=False, help="Replace the run that the folder holds.")
    report: bool = HfArg(default=True, help="Write report.html, a page that shows the run; false leaves it out.")
    resume: str | None = HfArg(
        default=None,
        metadata={"nargs": "?", "const": ""},
        help="Go on from the newest checkpoint of a run that was stopped: the one in --output_dir, or in the folder "
        "named, which may also be that of one checkpoint.",
    )

    def __post_init__(self) -> None:
        if not self.resume:
            return
        path = Path(self.resume)
        run = path.parent.parent if path.parent.name == CHECKPOINTS else path
        if not path.is_dir():
            raise OptionError(f"--resume {self.resume} is no folder; name that of a run, or of one of its checkpoints.")
        if self.output_dir and Path(self.output_dir).resolve() != run.resolve():
            raise OptionError(f"--resume {self.resume} goes on in {run}; leave --output_dir out.")
        self.output_dir = str(run)
        self.resume = self.resume if run != path else ""


@dataclass
class ReportOptions:
    """Where the page goes."""

    output_file: str | None = HfArg(
        default=None,
        help="The page. Unless given: report.html, of one run in its folder, of several in the current one.",
    )


@dataclass
class ClassificationOptions:
    """The shape of a classification head, and what its loss weighs."""

    pooling: str = HfArg(default="native", help="native (the family's own head), cls, mean or max.")
    hidden: list[int] = HfArg(default_factory=list, help="Units of dense ReLU layers before the softmax layer.")
    dropout: float | None = HfArg(default=None, help="Dropout of the head. Unless given: the family's own.")
    label_smoothing: float = HfArg(default=0.0, help="Share of each target spread over all labels.")
    class_weights: str = HfArg(
        default="none", help="none, balanced or effective_number: factors on the loss that make up for rare labels."
    )
    loss: str = HfArg(default="cross_entropy", help="cross_entropy, focal or logit_adjusted.")
    focal_gamma: float = HfArg(default=2.0, help="How much less focal loss counts rows that the network is sure of.")
    long_texts: str = HfArg(
        default="truncate", help="Of texts beyond --max_length: truncate, head_tail, or window (all, in windows)."
    )
    window_pooling: str = HfArg(default="mean", help="mean or max of the logits of a text's windows.")

    def __post_init__(self) -> None:
        # As they are unless given, they may stand in the options.yaml of any run.
        if self.focal_gamma != 2 and self.loss != "focal":
            raise OptionError(f"--focal_gamma is of --loss focal, and the loss is {self.loss}; leave it out.")
        if self.window_pooling != "mean" and self.long_texts != "window":
            raise OptionError(f"--window_pooling needs --long_texts window, which is {self.long_texts}; leave it out.")


@dataclass
class SentimentOptions(ClassificationOptions):
    """The scale of a sentiment head, beside the shape of a classification head."""

    levels: list[str] = HfArg(
        default_factory=list, help="The labels, lowest first. Unless given: told from their names."
    )
    level_edges: list[float] = HfArg(
        default_factory=list, help="Where a numeric label is cut into levels, one fewer than --levels."
    )


@dataclass
class NEROptions:
    """How tags are spelt, in the data and in the network."""

    tag_scheme: str | None = HfArg(
        default=None, help="Scheme of the data: IOB1, IOB2, BIOES, BILOU. Unless given: recognised."
    )
    label_scheme: str = HfArg(default="IOB2", help="Scheme of the network's labels.")


@dataclass
class PredictionOptions:
    """Which model predicts what, and where to."""

    model_name_or_path: str | None = HfArg(default=None, help="Trained model: a run's folder, or a hub id.")
    model_revision: str | None = HfArg(default=None, help="Branch, tag or commit of a hub id.")
    trust_remote_code: bool = HfArg(default=False, help="Run code that comes with the checkpoint.")
    max_length: int | None = HfArg(default=None, help="Tokens read of a text. Unless given: as in training.")
    input_file: str | None = HfArg(
        default=None,
        help="CSV, TSV, JSONL, JSON, Parquet, Arrow, CoNLL columns, .spacy, .txt with one text a line, or a folder "
        "of .txt with one text each.",
    )
    dataset_name: str | None = HfArg(default=None, help="A data set of the hub, in place of a file.")
    dataset_config_name: str | None = HfArg(default=None, help="Which configuration of that data set.")
    dataset_split_name: str | None = HfArg(default=None, help="Which split of it. Unless given: test.")
    text_column_name: str | None = HfArg(default=None, help="Column with the text (NER: or lists of words).")
    text_pair_column_name: str | None = HfArg(default=None, help="Column with the second text, for a model of pairs.")
    id_column_name: str | None = HfArg(
        default=None, help="Column that is copied beside each prediction; of a folder: file."
    )
    skip_bad_rows: bool = HfArg(default=False, help="Leave out rows that cannot be used instead of stopping.")
    delimiter: str | None = HfArg(
        default=None, help="What stands between columns: a character, or tab, comma, ... Unless given: told from rows."
    )
    conll_columns: str | None = HfArg(default=None, help="Column of the word in CoNLL columns, such as 1 or FORM.")
    output_file: str | None = HfArg(default=None, help="Where to: a .jsonl or .parquet file, one line a row.")
    overwrite_output_file: bool = HfArg(default=False, help="Replace the file that is there.")
    all_probabilities: bool = HfArg(default=False, help="Write the probability of every label.")
    calibrated: bool = HfArg(
        default=True, help="Scale probabilities by what was fitted to validation rows; false: those of the network."
    )
    abstain_below: float | None = HfArg(
        default=None, help="Say nothing of a row whose probability is less; the best guess stands beside it."
    )
    per_device_eval_batch_size: int = HfArg(default=32, help="Rows of one process in one forward pass.")
    mixed_precision: str = HfArg(
        default="auto", help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it."
    )
    check_precision: int = HfArg(
        default=256, help="First rows that are predicted in fp32 too, to tell how many labels agree; 0 for none."
    )

    def __post_init__(self) -> None:
        for name in ("model_name_or_path", "output_file"):
            _require_given(self, name)
        if not self.dataset_name:
            _require_given(self, "input_file")
        elif self.input_file:
            raise OptionError("--input_file and --dataset_name both say what to predict; give one of them.")
        for name in ("dataset_config_name", "dataset_split_name"):
            if getattr(self, name) and not self.dataset_name:
                raise OptionError(f"--{name} needs the --dataset_name that it belongs to.")
        for name in ("per_device_eval_batch_size", "max_length"):
            _require(self, name, lambda value: value > 0, "more than 0")
        _require(self, "check_precision", lambda value: value >= 0, "0 or more")
        _require(self, "abstain_below", lambda value: 0 < value <= 1, "more than 0, and 1 at most")
        _require(self, "mixed_precision", lambda value: value in PRECISIONS, "auto, no, bf16 or fp16")


def _require_given(options: Any, name: str) -> None:
    if not getattr(options, name):
        raise OptionError(f"--{name} is missing; see --help for all options.")


def _require(options: Any, name: str, holds: Callable[[Any], bool], what: str) -> None:
    value = getattr(options, name)
    if value is not None and not holds(value):
        raise OptionError(f"--{name} must be {what}; given was {value}.")
