"""Options of learning from label texts and raw texts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import (
    check_values,
    delimiter_option,
    no_header_option,
    option,
    quoting_option,
    require_given,
)
from nlp_transfer.errors import OptionError


@dataclass
class ZeroShotOptions:
    """Which labels, what they mean, and the raw texts to learn them from."""

    _argument_group_name: ClassVar[str] = "labels and texts"

    labels_file: str | None = option(
        None,
        help="YAML file with a line for each label: its name, and a description or a list of them.",
        most_used=0,
    )
    label_names: list[str] = option(
        default_factory=list, help="Names of the labels, in place of a file: they are then the descriptions."
    )
    text_file: str | None = option(
        None,
        help="Raw texts to learn from: CSV, TSV, Excel, JSONL, JSON, Parquet, Arrow, .txt with one text a line, or a "
        "folder of .txt with one text each.",
        most_used=1,
    )
    test_file: str | None = option(None, help="Rows with labels that are scored once, at the end.", most_used=2)
    text_column_name: str | None = option(None, help="Column with the text.", remembered=True)
    label_column_name: str | None = option(None, help="Column of --test_file with the label.")
    sample: int = option(20_000, help="Raw texts that are learned from, at most; all are predicted.", at_least=20)
    teacher: str | None = option(
        None,
        help="NLI model, a folder or hub id: what a zero-shot pipeline of transformers makes of it says of some raw "
        "texts is learned too.",
    )
    teacher_template: str = option(
        "This text is about {}.", help="Sentence that the teacher judges, with {} for a label's name in words."
    )
    teacher_texts: int = option(500, help="Raw texts that the teacher is asked about, at most.", at_least=20)
    skip_bad_rows: bool = option(False, help="Leave out rows that cannot be used instead of stopping.")
    delimiter: str | None = delimiter_option(remembered=True)
    quoting: str | None = quoting_option(remembered=True)
    no_header: bool = no_header_option(remembered=True)
    per_device_eval_batch_size: int = option(32, help="Texts in one forward pass.", above=0)
    seed: int = option(0, help="Seed of everything random.", at_least=0, at_most=2**31 - 1)

    def __post_init__(self) -> None:
        check_values(self)
        require_given(self, "text_file")
        self.label_names = [name.strip() for part in self.label_names for name in part.split(",") if name.strip()]
        if self.labels_file and self.label_names:
            raise OptionError("--labels_file and --label_names both name the labels; give one of them.")
        if not self.labels_file and not self.label_names:
            raise OptionError("--labels_file is missing, and --label_names too; give one of them.")
        if repeats := {name for name in self.label_names if self.label_names.count(name) > 1}:
            raise OptionError(f"--label_names has '{min(repeats)}' twice; give every label its own name.")
        if self.label_column_name and not self.test_file:
            raise OptionError("--label_column_name names a column of --test_file, which is not given; remove it.")
        if "{}" not in self.teacher_template:
            raise OptionError(
                f"--teacher_template has no {{}} where the name of a label goes; got {self.teacher_template}."
            )
