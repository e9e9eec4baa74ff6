"""What is looked at, tried and set side by side, before or beside a training?"""

from __future__ import annotations

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from nlp_transfer.config.option_values import require, require_given
from nlp_transfer.errors import OptionError


@dataclass
class CheckOptions:
    """What is looked for in a data set, beside what is always looked for."""

    task: str | None = HfArg(
        default=None, help="classification, sentiment or ner. Unless given: told from the columns of --train_file."
    )
    label_errors: str | None = HfArg(
        default=None,
        metadata={"nargs": "?", "const": "quick"},
        help="Rank the rows, or the words, whose labels an encoder doubts most: quick, as is nothing behind "
        "--label_errors, asks a classifier on what the encoder gives; thorough trains the encoder itself, twice for an "
        "epoch, on 2,000 texts or more.",
    )
    near_duplicates: float = HfArg(
        default=0.7, help="Share of words and word pairs that two texts have in common to be nearly the same; 0: skip."
    )
    seed: int = HfArg(default=0, help="Seed of everything random.")

    def __post_init__(self) -> None:
        tasks = ("classification", "sentiment", "ner")
        require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        self.label_errors = _AS_BEFORE.get(str(self.label_errors).lower(), self.label_errors)
        require(self, "label_errors", lambda value: value in ("quick", "thorough"), "quick or thorough")
        require(self, "near_duplicates", lambda value: value == 0 or 0.5 <= value <= 1, "0, or from 0.5 to 1")
        require(self, "seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")


_AS_BEFORE = {"true": "quick", "false": None}  # values of --label_errors when it had no others


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
        require_given(self, "encoders")
        tasks = ("classification", "sentiment", "ner")
        require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        require(self, "sample", lambda value: value >= 20, "20 or more")
        require(self, "max_length", lambda value: value > 0, "more than 0")
        require(self, "seed", lambda value: 0 <= value < 2**31, "from 0 to 2147483647")


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
        require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        for name in ("trials", "timeout"):
            require(self, name, lambda value: value > 0, "more than 0")
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
        require(self, "task", lambda value: value in tasks, "classification, sentiment or ner")
        for name in ("seeds", "workers"):
            require(self, name, lambda value: value > 0, "more than 0")
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
