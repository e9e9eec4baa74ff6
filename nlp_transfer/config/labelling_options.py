"""Options of the labelling loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import check_values, delimiter_option, no_header_option, option, quoting_option
from nlp_transfer.errors import OptionError

BATCH_FORMATS = ("csv", "label_studio", "doccano", "prodigy")
"""What a batch of rows can be written for."""


@dataclass
class LabellingOptions:
    """Which texts get which labels, and where the loop keeps what it knows."""

    _argument_group_name: ClassVar[str] = "labelling"

    folder: str = option("labelling", help="The folder that holds the state of the loop.", most_used=1)
    text_file: str | None = option(
        None,
        help="next: the raw texts, in any form that predict reads; with further texts in it, these join.",
        most_used=2,
    )
    labels_file: str | None = option(
        None, help="next: YAML file, of each label its name and a text or several that say what it means.", most_used=3
    )
    label_names: list[str] = option(
        default_factory=list, help="next: the names of the labels (NER: entity types), in place of that file."
    )
    rows: int = option(50, help="next: how many rows to pick, those to check the score included.", above=0, most_used=4)
    format: str | None = option(
        None,
        choices=BATCH_FORMATS,
        help="next: what the rows are written for.",
        default_text="csv, of entities doccano",
        most_used=5,
    )
    output_file: str | None = option(
        None, help="next: the file of the picked rows.", default_text="one in the folder, with the number of the batch"
    )
    prefill: bool = option(True, help="next: write the label that is guessed beside each row but those to check.")
    offer_again: bool = option(
        False, help="next: rows that were rejected, or are out and have not come back, may be picked again."
    )
    labelled_file: str | None = option(
        None, help="merge: what came back, in any form that the training recipes read.", most_used=6
    )
    model_name_or_path: str | None = option(
        None,
        help="Encoder of the vectors: a folder, a hub id, or all-MiniLM-L6-v2. NER: a run of ner, which then guesses "
        "the entities, and may be another one each time.",
        default_text="all-MiniLM-L6-v2",
    )
    task: str | None = option(
        None,
        choices=("classification", "ner"),
        help="next: one label for each text, or entities in it.",
        default_text="ner where --model_name_or_path is a tagger, else classification",
    )
    trust_remote_code: bool = option(False, help="Run code that comes with the checkpoint.")
    max_length: int | None = option(
        None, help="Tokens read of a text.", above=0, default_text="256, or fewer where the encoder has fewer positions"
    )
    text_column_name: str | None = option(None, help="Column with the text, in either file.")
    label_column_name: str | None = option(
        None, help="merge: column with the label; of Label Studio the control that it comes from."
    )
    skip_bad_rows: bool = option(
        False, help="Leave out rows that cannot be used instead of stopping; merge: end without an error."
    )
    delimiter: str | None = delimiter_option()
    quoting: str | None = quoting_option()
    no_header: bool = no_header_option()
    seed: int = option(42, help="Seed of all that is drawn: the rows to check, and the order of rows in the curve.")

    def __post_init__(self) -> None:
        self.label_names = [name for given in self.label_names for name in map(str.strip, given.split(",")) if name]
        if repeats := {name for name in self.label_names if self.label_names.count(name) > 1}:
            raise OptionError(f"--label_names has '{min(repeats)}' twice; give every label its own name.")
        check_values(self)
