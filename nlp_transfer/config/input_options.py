"""What does a run read: which encoder, which rows?"""

from __future__ import annotations

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from nlp_transfer.config.option_values import PROBLEMS, require
from nlp_transfer.errors import OptionError


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
        require(self, "max_length", lambda value: value > 0, "more than 0")


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
        require(self, "misaligned", lambda value: value in ("strict", "snap", "drop"), "strict, snap or drop")
        require(self, "problem", lambda value: value in PROBLEMS, f"one of {', '.join(PROBLEMS)}")
        # --label_columns a,b,c and --label_columns a b c are the same
        self.label_columns = [name for part in self.label_columns for name in part.split(",") if name]
        told = "label_columns" if self.label_columns else "label_delimiter"
        if getattr(self, told):
            if self.problem not in (None, "multi_label"):
                raise OptionError(f"--{told} says that a text has several labels, --problem {self.problem} that not.")
            if self.label_columns and (self.label_column_name or self.label_delimiter):
                other = "label_column_name" if self.label_column_name else "label_delimiter"
                raise OptionError(f"--label_columns and --{other} both say where the labels are; give one of them.")
