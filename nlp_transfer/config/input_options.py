"""Options of the encoder and the rows that a run reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import (
    PROBLEMS,
    check_values,
    delimiter_option,
    no_header_option,
    option,
    quoting_option,
)
from nlp_transfer.errors import OptionError


@dataclass
class ModelOptions:
    """Which encoder."""

    _argument_group_name: ClassVar[str] = "model"

    model_name_or_path: str = option(
        "all-MiniLM-L6-v2", help="Encoder: a folder, a hub id, or all-MiniLM-L6-v2.", most_used=3
    )
    model_revision: str | None = option(None, help="Branch, tag or commit of a hub id.")
    trust_remote_code: bool = option(False, help="Run code that comes with the checkpoint.")
    keep_head: bool = option(
        False, help="Keep of the head of an earlier task what fits: dense layers, and labels of the same name."
    )
    max_length: int | None = option(
        None, help="Tokens read of a text.", above=0, default_text="256, or fewer where the encoder has fewer positions"
    )

    def __post_init__(self) -> None:
        check_values(self)


@dataclass
class DataOptions:
    """Which rows. Without any file or data set, a small sample set that comes with the package."""

    _argument_group_name: ClassVar[str] = "data"

    train_file: str | None = option(
        None,
        help="CSV, TSV, Excel, JSONL, JSON, Parquet, Arrow, a folder of a folder per label; NER: CoNLL, JSONL of texts "
        "with spans, .spacy, a folder of brat. Compressed or not; wildcards name several.",
        most_used=1,
    )
    validation_file: str | None = option(None, help="Rows that choose the best epoch.")
    test_file: str | None = option(None, help="Rows that are scored once, at the end.", most_used=2)
    dataset_name: str | None = option(None, help="A data set of the hub, in place of files.")
    dataset_config_name: str | None = option(None, help="Which configuration of that data set.")
    text_column_name: str | None = option(None, help="Column with the text (NER: the words).", remembered=True)
    label_column_name: str | None = option(None, help="Column with the label (NER: the tags).")
    text_pair_column_name: str | None = option(
        None, help="Column with a second text, for pairs of texts.", remembered=True
    )
    problem: str | None = option(
        None,
        choices=PROBLEMS,
        help="single_label, multi_label (several labels a text, or none), regression (a number).",
        default_text="inferred from the labels",
    )
    label_columns: list[str] = option(
        default_factory=list, help="Columns of 0 and 1, each a label, in place of one column with labels."
    )
    label_delimiter: str | None = option(None, help="What parts the labels of a text in the label column.")
    label_names: list[str] = option(
        default_factory=list, help="Names of labels that are written as numbers from 0 on, or as 0 and 1 by position."
    )
    decimal_mark: str | None = option(
        None,
        choices=("point", "comma"),
        help="What parts the fraction of numbers in the label column.",
        default_text="inferred from them",
    )
    validation_split_percentage: float | None = option(
        None,
        help="Share of train held out where there is no validation file. 0: train on all, keep the last weights.",
        default_text="10, or 1,000 rows where that is less",
    )
    skip_bad_rows: bool = option(False, help="Leave out rows that cannot be used instead of stopping.")
    strict_data: bool = option(False, help="Stop where a row of validation or test stands in train.")
    delimiter: str | None = delimiter_option(remembered=True)
    quoting: str | None = quoting_option(remembered=True)
    no_header: bool = no_header_option(remembered=True)
    conll_columns: str | None = option(
        None,
        help="NER: columns of word and tag, such as 0,3 or FORM,NER.",
        default_text="first and last",
        remembered=lambda columns: columns.partition(",")[0],  # that of the word
    )
    tag_names: list[str] = option(
        default_factory=list, help="NER: what tags that are numbers stand for, from 0 on, such as O,B-PER,I-PER."
    )
    misaligned: str = option(
        "strict",
        choices=("strict", "snap", "drop"),
        help="NER: spans that do not fall on words stop the run (strict), are widened (snap) or left out (drop).",
    )

    def __post_init__(self) -> None:
        check_values(self)
        # --label_columns a,b,c and --label_columns a b c are the same
        self.label_columns = [name for part in self.label_columns for name in part.split(",") if name]
        self.label_names = [name.strip() for part in self.label_names for name in part.split(",") if name.strip()]
        if self.label_names and (self.problem == "regression" or self.label_columns):
            other = "--problem regression" if self.problem == "regression" else "--label_columns"
            raise OptionError(f"--label_names names labels, which {other} has none to name; remove one.")
        if repeats := {name for name in self.label_names if self.label_names.count(name) > 1}:
            raise OptionError(f"--label_names has '{min(repeats)}' twice; give every label its own name.")
        self.tag_names = [name.strip() for part in self.tag_names for name in part.split(",") if name.strip()]
        if repeated := [name for name in self.tag_names if self.tag_names.count(name) > 1]:
            raise OptionError(f"--tag_names names '{repeated[0]}' twice; give each number a name of its own.")
        option_name = "label_columns" if self.label_columns else "label_delimiter"
        if getattr(self, option_name):
            if self.problem not in (None, "multi_label"):
                raise OptionError(f"--{option_name} implies --problem multi_label; got --problem {self.problem}.")
            if self.label_columns and (self.label_column_name or self.label_delimiter):
                other = "label_column_name" if self.label_column_name else "label_delimiter"
                raise OptionError(f"--label_columns and --{other} both name where the labels are; remove one.")
