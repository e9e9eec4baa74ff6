"""Options of data checks, encoder selection, tuning and comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nlp_transfer.config.option_fields import check_values, option, require_given
from nlp_transfer.errors import OptionError

_TASK_HELP = "Task of the rows: classification, sentiment, ner, or that of another registered head."


def _inferred_task() -> Any:
    return option(None, help=_TASK_HELP, default_text="inferred from the columns of --train_file")


def _seed() -> Any:
    return option(0, help="Seed of everything random.", at_least=0, at_most=2**31 - 1)


@dataclass
class CheckOptions:
    """What is looked for in a data set, beside what is always looked for."""

    _argument_group_name: ClassVar[str] = "checks"

    task: str | None = _inferred_task()
    label_errors: str | None = option(
        None,
        const="quick",
        choices=("quick", "thorough"),
        help="Rank the rows, or the words, whose labels an encoder doubts most: quick, as is nothing behind "
        "--label_errors, asks a classifier on what the encoder gives; thorough trains the encoder itself, twice for an "
        "epoch, on 2,000 texts or more.",
        most_used=5,
    )
    near_duplicates: float = option(
        0.7, help="Share of words and word pairs that two texts have in common to be nearly the same; 0: skip."
    )
    seed: int = _seed()

    def __post_init__(self) -> None:
        self.label_errors = _OLD_VALUES.get(str(self.label_errors).lower(), self.label_errors)
        check_values(self)
        if self.near_duplicates and not 0.5 <= self.near_duplicates <= 1:
            raise OptionError(f"--near_duplicates must be 0, or from 0.5 to 1; got {self.near_duplicates:g}.")


_OLD_VALUES = {"true": "quick", "false": None}  # of --label_errors, which was a flag once


@dataclass
class SelectionOptions:
    """Which encoders are compared before anything is trained, and on how many rows."""

    _argument_group_name: ClassVar[str] = "selection"

    encoders: list[str] = option(
        default_factory=list,
        help="Folders, hub ids, or all-MiniLM-L6-v2, with commas or blanks between them.",
        most_used=0,
    )
    task: str | None = _inferred_task()
    sample: int = option(5000, help="Rows of train that are looked at, at most; each label has its share.", at_least=20)
    max_length: int | None = option(
        None, help="Tokens read of a text.", above=0, default_text="256, or fewer where the encoder has fewer positions"
    )
    trust_remote_code: bool = option(False, help="Run code that comes with a checkpoint.")
    seed: int = _seed()

    def __post_init__(self) -> None:
        self.encoders = [name for part in self.encoders for name in part.split(",") if name]
        require_given(self, "encoders")
        check_values(self)


@dataclass
class TuningOptions:
    """What is searched for the best options, and how long. Options that are given otherwise stay as they are."""

    _argument_group_name: ClassVar[str] = "tuning"
    _stands_in_for: ClassVar[tuple[str, ...]] = ("strategy", "processes")  # options of others that its help leaves out

    task: str = option("classification", help=_TASK_HELP)
    strategies: list[str] = option(
        default_factory=lambda: ["full", "lora"],
        help="Strategies to try, with commas or blanks between them.",
        most_used=3,
    )
    trials: int = option(
        20,
        help="Runs to try, those of an earlier start in the same --output_dir included.",
        above=0,
        most_used=4,
    )
    timeout: float | None = option(None, help="Minutes after which no further trial begins.", above=0)
    search: list[str] = option(
        default_factory=list,
        help="NAME=LOW..HIGH or NAME=A,B,C: what an option of training or of a strategy may be, such as "
        "learning_rate=1e-5..5e-4.",
        default_text="learning rate, epochs and what matters most of each strategy",
    )
    output_dir: str | None = option(
        None,
        help="Folder of the search, which resumes what is there.",
        default_text="runs/tune",
        most_used=6,
    )

    def __post_init__(self) -> None:
        check_values(self)
        self.strategies = _names(self.strategies)
        if not self.strategies:
            raise OptionError("--strategies names none; see --help for all options.")


@dataclass
class CompareOptions:
    """What is set side by side, on how many rows and how often."""

    _argument_group_name: ClassVar[str] = "comparison"
    _stands_in_for: ClassVar[tuple[str, ...]] = ("strategy", "processes")  # options of others that its help leaves out

    task: str = option("classification", help=_TASK_HELP)
    strategies: list[str] = option(
        default_factory=lambda: ["freeze", "features", "lora", "head_then_full", "full"],
        help="Those to compare, with commas or blanks between them; freeze:2, features:svm and lora:16 say how many "
        "layers train, which classifier, and which rank. scratch is always beside them.",
        most_used=3,
    )
    encoders: list[str] = option(
        default_factory=list, help="Encoders, each with each strategy.", default_text="--model_name_or_path"
    )
    fractions: list[str] = option(
        default_factory=lambda: ["1.0"], help="Shares of the training rows to learn from, each above 0 and at most 1."
    )
    seeds: int = option(
        3, help="How often each is trained: with --seed, the next number, and so on.", above=0, most_used=4
    )
    metric: str | None = option(None, help="The score that chooses and is compared.", default_text="the task's own")
    workers: int | None = option(
        None,
        help="Trainings at once, the cores shared out.",
        above=0,
        default_text="as many as cores and memory allow",
    )

    def __post_init__(self) -> None:
        check_values(self)
        for name in ("strategies", "encoders", "fractions"):
            setattr(self, name, _names(getattr(self, name)))
        if not self.strategies:
            raise OptionError("--strategies names none; see --help for all options.")
        _ = self.shares

    @property
    def shares(self) -> list[float]:
        """`fractions` as numbers, the largest last. OptionError for one outside (0, 1]."""
        shares = set()
        for text in self.fractions:
            try:
                share = float(text)
            except ValueError:
                share = 0.0
            if not 0 < share <= 1:
                raise OptionError(f"--fractions must be more than 0 and at most 1, as in 0.05,0.2,1.0; got {text}.")
            shares.add(share)
        return sorted(shares)


def _names(parts: list[str]) -> list[str]:
    """What commas or blanks part, each once: a,b and a b are the same."""
    return list(dict.fromkeys(name.strip() for part in parts for name in part.split(",") if name.strip()))
