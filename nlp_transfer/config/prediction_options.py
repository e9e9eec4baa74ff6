"""Options of predicting with a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import (
    PRECISIONS,
    check_values,
    delimiter_option,
    no_header_option,
    option,
    processes_option,
    quoting_option,
    require_given,
)
from nlp_transfer.errors import OptionError


@dataclass
class PredictionOptions:
    """Which model predicts what, and where to."""

    _argument_group_name: ClassVar[str] = "prediction"

    model_name_or_path: str | None = option(None, help="Trained model: a run's folder, or a hub id.", most_used=1)
    model_revision: str | None = option(None, help="Branch, tag or commit of a hub id.")
    trust_remote_code: bool = option(False, help="Run code that comes with the checkpoint.")
    max_length: int | None = option(None, help="Tokens read of a text.", above=0, default_text="as in training")
    input_file: str | None = option(
        None,
        help="CSV, TSV, Excel, JSONL, JSON, Parquet, Arrow, CoNLL columns, .spacy, .txt with one text a line, or a "
        "folder of .txt with one text each.",
        most_used=2,
    )
    dataset_name: str | None = option(None, help="A data set of the hub, in place of a file.")
    dataset_config_name: str | None = option(None, help="Which configuration of that data set.")
    dataset_split_name: str | None = option(None, help="Which split of it.", default_text="test")
    text_column_name: str | None = option(None, help="Column with the text (NER: or lists of words).")
    text_pair_column_name: str | None = option(None, help="Column with the second text, for a model of pairs.")
    id_column_name: str | None = option(None, help="Column that is copied beside each prediction; of a folder: file.")
    skip_bad_rows: bool = option(False, help="Leave out rows that cannot be used instead of stopping.")
    delimiter: str | None = delimiter_option()
    quoting: str | None = quoting_option()
    no_header: bool = no_header_option()
    conll_columns: str | None = option(None, help="Column of the word in CoNLL columns, such as 1 or FORM.")
    output_file: str | None = option(None, help="Where to: a .jsonl or .parquet file, one line a row.", most_used=3)
    overwrite_output_file: bool = option(False, help="Replace the file that is there.")
    all_probabilities: bool = option(False, help="Write the probability of every label.")
    calibrated: bool = option(
        True, help="Scale probabilities by what was fitted to validation rows; false: those of the network."
    )
    abstain_below: float | None = option(
        None,
        help="Abstain on a row whose probability is less; the best guess stands beside it.",
        above=0,
        at_most=1,
    )
    per_device_eval_batch_size: int = option(32, help="Rows of one process in one forward pass.", above=0)
    processes: int = processes_option()
    mixed_precision: str = option(
        "auto",
        choices=PRECISIONS,
        help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it.",
    )
    check_precision: int = option(
        256, help="First rows that are predicted in fp32 too, to tell how many labels agree; 0 for none.", at_least=0
    )

    def __post_init__(self) -> None:
        for name in ("model_name_or_path", "output_file"):
            require_given(self, name)
        if not self.dataset_name:
            require_given(self, "input_file")
        elif self.input_file:
            raise OptionError("--input_file and --dataset_name both name what to predict; remove one.")
        for name in ("dataset_config_name", "dataset_split_name"):
            if getattr(self, name) and not self.dataset_name:
                raise OptionError(f"--{name} needs the --dataset_name that it belongs to.")
        check_values(self)
